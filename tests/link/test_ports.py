"""Which ports there are, who answers, and the one that ``auto`` takes."""

from __future__ import annotations

import os
import tty

import pytest
from port_lists import plain_port, usb_port

from pytest_tflm.errors import PortNotFound, SettingsError
from pytest_tflm.link import ports
from pytest_tflm.simulator.board.launch import start

SHORT = 2.0


@pytest.fixture
def listed(monkeypatch):
    """Says which ports this machine has."""

    def give(*found):
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(found))

    return give


@pytest.fixture
def board():
    with start("sim") as simulator:
        yield simulator.port


@pytest.fixture
def silent():
    """A port behind which nobody is."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_ports_are_sorted_and_named_by_their_usb_ids(listed):
    listed(
        usb_port("/dev/ttyUSB0", 0x10C4, 0xEA60, "0001"),
        plain_port("/dev/ttyS0"),
        usb_port("/dev/ttyACM1", 0x303A, 0x1001),
        usb_port("/dev/ttyACM0", serial_number="9A3F"),
        usb_port("/dev/ttyACM2", 0x1234, 0x5678),
    )
    found = ports.found_ports()
    assert [(p.device, p.board, p.usb) for p in found] == [
        ("/dev/ttyACM0", "nano33", "2341:805a"),
        ("/dev/ttyACM1", "esp32", "303a:1001"),
        ("/dev/ttyACM2", "", "1234:5678"),
        ("/dev/ttyS0", "", ""),
        ("/dev/ttyUSB0", "", "10c4:ea60"),
    ]
    assert found[0].title == "Arduino Nano 33 BLE" and found[0].serial_number == "9A3F"
    assert "CP210x" in found[4].title
    assert [p.can_answer for p in found] == [True, True, True, False, True]


def test_a_board_says_who_it_is(listed, board):
    listed(usb_port(board, serial_number="77"))
    answer = ports.ask(ports.found_ports()[0])
    assert answer.identity is not None and answer.identity.board == "simulator"
    assert answer.describe().startswith(f"{board}: simulator, pytest-tflm-core")
    assert answer.describe().endswith("serial number 77")


def test_what_might_do_something_with_bytes_is_not_asked(listed, monkeypatch):
    def never(*_, **__):
        raise AssertionError("was opened")

    monkeypatch.setattr("pytest_tflm.link.connection.open_port", never)
    listed(plain_port("/dev/ttyS0"), usb_port("/dev/ttyACM0", 0x2341, 0x005A))
    answers = ports.ask_all(ports.found_ports())
    assert [a.error for a in answers] == [
        "is not asked: it is in its bootloader",
        "is not asked: no USB device",
    ]


def test_auto_takes_the_one_that_answers(listed, board, silent):
    listed(usb_port(silent), usb_port(board), usb_port("/dev/ttyNOTHING"), plain_port("/dev/x"))
    assert ports.the_board(timeout=SHORT) == board


def test_auto_names_all_boards_where_there_are_several(listed, board):
    with start("sim") as second:
        listed(usb_port(board), usb_port(second.port, serial_number="S2"))
        with pytest.raises(SettingsError) as caught:
            ports.the_board(timeout=SHORT)
    text = str(caught.value)
    assert "2 boards answer" in text and f"{board}: simulator" in text
    assert f"{second.port}: simulator" in text and "serial number S2" in text


def test_auto_without_a_board_says_what_each_port_gave(listed, silent):
    listed(usb_port(silent), usb_port("/dev/ttyNOTHING"), plain_port("/dev/ttyS0"))
    with pytest.raises(PortNotFound) as caught:
        ports.the_board(timeout=SHORT)
    text = str(caught.value)
    assert "no board answers at 115200 baud" in text and silent in text
    assert "no port /dev/ttyNOTHING" in text and "/dev/ttyS0: is not asked" in text
    listed()
    with pytest.raises(PortNotFound, match="no serial port was found"):
        ports.the_board(timeout=SHORT)
