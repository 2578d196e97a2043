"""``pytest-tflm ports``, and ``--tflm-port=auto``."""

from __future__ import annotations

from serial.tools.list_ports_common import ListPortInfo


def says(done, *parts):
    assert "Traceback" not in done.output
    for part in parts:
        assert part in done.output, done.output


def list_ports(monkeypatch, *ports: str) -> None:
    """This machine has those USB ports, and no others."""

    def comports(include_links: bool = False) -> list[ListPortInfo]:
        found = [ListPortInfo(name, True) for name in ports]
        for port in found:
            port.vid, port.pid, port.serial_number = 0x2341, 0x805A, "9A3F"
        return found

    monkeypatch.setattr("serial.tools.list_ports.comports", comports)


def test_ports_are_listed_and_asked(inner, kept, monkeypatch):
    port = kept.board("sim").port
    list_ports(monkeypatch, port, "/dev/ttyNOTHING")
    done = inner.pytest_tflm("ports")
    assert done.status == 0, done.output
    (line,) = done.lines(port)
    assert "2341:805a  Arduino Nano 33 BLE  serial number 9A3F" in line
    assert "simulator" not in done.output
    asked = inner.pytest_tflm("ports", "--ask")
    assert asked.status == 0, asked.output
    says(asked, "simulator, pytest-tflm-core", "takes models", "there is no port /dev/ttyNOTHING")
    refused = inner.pytest_tflm("ports", "--ask", "--baud", "1200")
    assert refused.status == 1
    says(refused, "1200 baud starts the bootloader")


def test_a_run_with_port_auto(inner, kept, monkeypatch, tcn):
    first, second = kept.board("sim").port, kept.board("sim?memory=1m").port
    words = ("--tflm-port=auto", f"--tflm-model={tcn}", "--tflm-samples=1")
    list_ports(monkeypatch, first, "/dev/ttyNOTHING")
    done = inner.pytest(*words)
    assert done.outcomes == {"passed": 6}, done.output
    says(done, f"at {first}")

    list_ports(monkeypatch, first, second)
    several = inner.pytest(*words)
    assert several.status == 4, several.output
    says(several, "SettingsError", "auto: 2 boards answer", first)

    list_ports(monkeypatch, "/dev/ttyNOTHING")
    none = inner.pytest(*words)
    assert none.status == 2, none.output
    says(none, "PortNotFound", "auto: no board answers", "/dev/ttyNOTHING")
