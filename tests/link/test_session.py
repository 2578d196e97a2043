"""The session step by step: each rule of SPEC §2 to §4 by itself, bytes in and bytes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tflm.errors import (
    BoardCrashed,
    BoardReset,
    ForeignPeer,
    LineTooNoisy,
    NoAnswer,
    PortBusy,
    ProtocolMismatch,
)
from pytest_tflm.link import frame, message
from pytest_tflm.link.frame import Said
from pytest_tflm.link.message import Type, Welcome
from pytest_tflm.link.session import _MOVES, Broken, Opened, Replied, Session, State

NUMBER = 0x4A17
WELCOME = Welcome(1, 1, 1, 1, 0x1BADB002, 128, 512, 262)
READ = message.Read(0, 0, 0, 20)
OK = b"\0" + b"x" * 20


class Talk:
    """A session and a hand-made board."""

    def __init__(self, session_class=Session, welcome=WELCOME, timeout=5.0, **settings):
        self.session = session_class(nonce=lambda: NUMBER, timeout=timeout, **settings)
        self.now = 100.0
        self.session.open(self.now)
        self.sent = []
        if welcome is not None:
            self.out()
            self.hear(Type.WELCOME, 0, welcome.pack(), ack=0)
            assert isinstance(self.events()[0], Opened)

    def out(self):
        """Frames sent now."""
        wire = self.session.transmit(self.now)
        frames = [frame.decode(piece) for piece in wire.split(b"\0") if piece]
        self.sent += frames
        return frames

    def kinds(self):
        return [(Type(each.type).name, each.number) for each in self.out()]

    def hear(self, kind, number, payload=b"", ack=0, session=NUMBER):
        self.session.receive(frame.encode(kind, session, number, ack, payload), self.now)

    def reply(self, number, ack=None, payload=OK, kind=0x90):
        self.hear(kind, number, payload, number + 1 if ack is None else ack)

    def events(self):
        return self.session.events()

    def replied(self):
        return [each.ticket.number for each in self.events() if isinstance(each, Replied)]

    def wait(self):
        """Until the next timer."""
        self.now = max(self.now, self.session.deadline())
        return self.kinds()

    def until_broken(self):
        for _ in range(1000):
            if self.session.error is not None:
                return self.session.error
            self.wait()
        raise AssertionError("never ends")


def test_hello_is_repeated_with_the_same_session_until_welcome():
    talk = Talk(welcome=None)
    for _ in range(4):
        (hello,) = talk.out()
        assert (hello.type, hello.session, hello.number, hello.ack) == (1, NUMBER, 0, 0)
        assert hello.payload == b"\x01\x01"
        talk.now = talk.session.deadline()
    talk.hear(Type.WELCOME, 0, WELCOME.pack())
    assert talk.events() == [Opened(WELCOME)]
    assert talk.session.deadline() is None
    assert talk.out() == []


def test_requests_go_out_at_once_and_replies_come_in_order():
    talk = Talk()
    for expected in range(3):
        assert talk.session.submit(READ).number == expected
    assert talk.kinds() == [("READ", 0), ("READ", 1), ("READ", 2)]
    talk.reply(0)
    talk.reply(1)
    assert talk.replied() == [0, 1]
    assert talk.session.submit(READ).number == 3
    (last,) = talk.out()
    assert (last.number, last.ack) == (3, 2)


def test_the_window_is_kept():
    talk = Talk(welcome=Welcome(1, 1, 1, 1, 7, 128, 300, 5000))
    write = message.Write(2, 0, 0, b"d" * 80)  # 100 bytes on the wire
    for _ in range(6):
        talk.session.submit(write)
    assert not talk.session.has_room
    assert [number for _, number in talk.kinds()] == [0, 1, 2]
    talk.reply(0, payload=b"\0", kind=0x91)
    assert [number for _, number in talk.kinds()] == [3]
    talk.reply(3, ack=4, payload=b"\0", kind=0x91)  # 1 and 2 were taken too
    assert talk.replied() == [0]
    assert ("WRITE", 4) in talk.kinds()


def test_the_reply_store_is_kept():
    talk = Talk()  # 262 bytes; a reply to READ of 20 is at most 35
    for _ in range(12):
        talk.session.submit(READ)
    assert [number for _, number in talk.kinds()] == [0, 1, 2, 3, 4, 5, 6]
    for number in (1, 2, 3):  # taken, but 0 is missing: the board must keep them all
        talk.reply(number)
    assert [kind for kind, _ in talk.kinds()] == ["REPEAT", "PING"]
    talk.reply(0)
    assert [number for _, number in talk.kinds()] == [7, 8, 9, 10]


def test_gap_sends_again_behind_a_ping():
    talk = Talk()
    for _ in range(3):
        talk.session.submit(READ)
    talk.out()
    talk.reply(0)
    talk.hear(Type.GAP, 0, ack=1)
    assert talk.kinds() == [("PING", 1), ("READ", 1), ("READ", 2)]
    again = talk.sent[-1]
    assert again.ack == 1
    assert talk.session.counters.requests_resent == 2


def check_a_gap_under_way_is_not_answered(session_class):
    talk = Talk(session_class)
    for _ in range(3):
        talk.session.submit(READ)
    talk.out()
    talk.hear(Type.GAP, 0, ack=1)
    assert len(talk.out()) == 3
    talk.hear(Type.GAP, 0, ack=1)
    assert talk.out() == []
    talk.hear(Type.GAP, 1, ack=1)  # that one was lost after the PING
    assert talk.kinds() == [("PING", 2), ("READ", 1), ("READ", 2)]


def check_other_sessions_are_ignored(session_class):
    talk = Talk(session_class)
    talk.session.submit(READ)
    talk.out()
    for kind in (Type.PONG, Type.GAP, 0x90, Type.WELCOME, Type.NO_SESSION):
        talk.hear(kind, 0, OK, ack=1, session=NUMBER + 1)
    assert talk.events() == []
    assert talk.out() == []
    assert talk.session.state is State.OPEN
    assert talk.session.counters.ignored == 5


def check_a_reply_to_nothing_is_ignored(session_class):
    talk = Talk(session_class)
    talk.session.submit(READ)
    talk.out()
    talk.reply(1, ack=0)
    talk.reply(0x8000, ack=0)
    talk.reply(0, ack=0, payload=b"")
    talk.reply(0, ack=0, payload=b"\x05\0\0")  # a failure cut short
    talk.reply(0, ack=0, kind=0x91)  # the answer to a WRITE
    assert talk.replied() == []
    talk.reply(0)
    talk.reply(0)
    assert talk.replied() == [0]
    assert talk.session.counters.ignored == 5
    assert talk.session.counters.replies_repeated == 1


def check_silence_waits_for_a_slow_line(session_class):
    talk = Talk(session_class, baud=1200)
    talk.session.submit(READ)
    talk.out()
    assert talk.session.deadline() - talk.now > 14 * 10 / 1200 + 30 * 10 / 1200


class TokensIgnored(Session):
    def _is_latest_token(self, found):
        return True


class StaleSessionAccepted(Session):
    def _is_ours(self, found):
        return True


class TypesOfRepliesIgnored(Session):
    def _on_reply(self, found, now):
        super()._on_reply(found._replace(type=0x90, payload=found.payload.ljust(9)), now)


class BaudIgnored(Session):
    def __init__(self, *, baud=None, **settings):
        super().__init__(**settings)


CHECKS = [
    (check_a_gap_under_way_is_not_answered, TokensIgnored),
    (check_other_sessions_are_ignored, StaleSessionAccepted),
    (check_a_reply_to_nothing_is_ignored, TypesOfRepliesIgnored),
    (check_silence_waits_for_a_slow_line, BaudIgnored),
]


@pytest.mark.parametrize(("check", "broken"), CHECKS)
def test_checks_that_find_a_broken_session(check, broken):
    check(Session)
    with pytest.raises(AssertionError):
        check(broken)


def test_pong_shows_what_was_lost_and_nothing_else():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    assert talk.wait() == [("PING", 1)]
    talk.session.submit(READ)  # sent behind the PING: its PONG says nothing of it
    talk.out()
    talk.hear(Type.PONG, 1, ack=1)
    assert talk.kinds() == [("REPEAT", 0), ("PING", 2)]
    talk.hear(Type.PONG, 2, ack=1)
    assert talk.kinds()[-1] == ("READ", 1)


def test_a_lost_reply_is_asked_for_once_per_round():
    talk = Talk()
    for _ in range(5):
        talk.session.submit(READ)
    talk.out()
    talk.reply(0)
    talk.reply(2)
    assert talk.replied() == [0]
    assert talk.kinds() == [("REPEAT", 1), ("PING", 1)]
    assert talk.sent[-2].payload == b"\x01\0"
    talk.reply(3)
    talk.reply(4)
    assert talk.out() == []
    talk.reply(1)
    assert talk.replied() == [1, 2, 3, 4]


def test_two_gaps_in_the_replies_are_asked_for_together():
    talk = Talk()
    for _ in range(6):
        talk.session.submit(READ)
    talk.out()
    talk.reply(1)
    talk.out()
    talk.reply(5)
    assert talk.kinds() == []  # a REPEAT is under way
    talk.hear(Type.PONG, 1, ack=6)
    assert talk.kinds() == [("REPEAT", 0), ("REPEAT", 2), ("PING", 2)]
    assert [each.payload for each in talk.sent[-3:-1]] == [b"\x01\0", b"\x03\0"]


def test_silence_backs_off():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    waits = []
    for _ in range(6):
        before = talk.now
        assert talk.wait()[0][0] == "PING"
        waits.append(talk.now - before)
    assert waits == sorted(waits)
    assert waits[0] < 0.3
    assert max(waits) <= 2.0


def test_numbers_wrap():
    talk = Talk(welcome=Welcome(1, 1, 1, 1, 7, 128, 512, 2000))
    for number in range(70_000):
        talk.session.submit(READ)
        (sent,) = talk.out()
        assert sent.number == sent.ack == number & 0xFFFF
        talk.hear(0x90, number & 0xFFFF, OK, (number + 1) & 0xFFFF)
        assert talk.replied() == [number]


def test_a_session_of_that_number_is_there_already():
    numbers = iter([5, 5, 9])
    session = Session(nonce=lambda: next(numbers))
    session.open(0.0)
    session.transmit(0.0)
    session.receive(frame.encode(Type.WELCOME, 5, 0, 77, WELCOME.pack()), 0.1)
    assert session.events() == []
    hello = frame.decode(session.transmit(0.1)[1:-1])
    assert hello.type == Type.HELLO
    assert hello.session == 6
    session.receive(frame.encode(Type.WELCOME, 6, 0, 0, WELCOME.pack()), 0.2)
    assert session.events() == [Opened(WELCOME)]


def test_session_0_is_never_drawn():
    session = Session(nonce=lambda: 0)
    session.open(0.0)
    assert frame.decode(session.transmit(0.0)[1:-1]).session != 0


@pytest.mark.parametrize(
    ("welcome", "words"),
    [
        (Welcome(2, 3, 0, 1, 7, 128, 512, 262), "versions 2 to 3"),
        (Welcome(1, 1, 1, 1, 7, 63, 512, 262), "largest frame of 63"),
        (Welcome(1, 1, 1, 1, 7, 128, 60, 262), "window of 60"),
        (Welcome(1, 1, 1, 1, 7, 128, 512, 130), "reply store of 130"),
    ],
)
def test_a_welcome_that_cannot_be(welcome, words):
    talk = Talk(welcome=None)
    talk.out()
    talk.hear(Type.WELCOME, 0, welcome.pack())
    (broken,) = talk.events()
    assert isinstance(broken, Broken)
    assert isinstance(broken.error, ProtocolMismatch)
    assert words in str(broken.error)
    assert talk.out() == []
    with pytest.raises(ProtocolMismatch):
        talk.session.submit(READ)


def test_a_restart_has_both_boot_ids():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.hear(Type.NO_SESSION, 0)
    (hello,) = talk.out()
    assert (hello.type, hello.session, hello.payload) == (Type.HELLO, NUMBER, b"\0\0")
    talk.hear(Type.WELCOME, 0, Welcome(1, 1, 0, 1, 0xABCD, 128, 512, 262).pack())
    assert isinstance(talk.session.error, BoardReset)
    assert "1badb002" in str(talk.session.error)
    assert "0000abcd" in str(talk.session.error)
    assert "READ 0" in str(talk.session.error)


def test_a_restart_of_a_board_that_then_says_nothing():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.hear(Type.NO_SESSION, 0)
    error = talk.until_broken()
    assert isinstance(error, BoardReset)
    assert "unknown" in str(error)


def test_another_host():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.hear(Type.NO_SESSION, 0)
    talk.hear(Type.WELCOME, 0, WELCOME.pack())  # of our own HELLO, late: says nothing
    assert talk.session.error is None
    talk.hear(Type.WELCOME, 0, Welcome(1, 1, 0, 1, 0x1BADB002, 128, 512, 262).pack())
    assert isinstance(talk.session.error, PortBusy)


def test_a_pong_that_the_line_made_a_copy_of_is_no_restart():
    """The first copy was damaged, and the reply behind it came in between: found by the soak."""
    talk = Talk()
    talk.session.submit(READ)
    talk.session.submit(READ)
    talk.out()
    assert talk.wait()[0] == ("PING", 1)
    talk.reply(0)
    talk.hear(Type.PONG, 1, ack=0)
    assert talk.session.state is State.OPEN
    assert talk.kinds()[0] == ("PING", 2)
    talk.hear(Type.PONG, 2, ack=1)
    talk.reply(1)
    assert talk.replied() == [0, 1]
    assert talk.session.state is State.OPEN


def test_a_restart_that_a_repeated_hello_hid():
    """The board restarts and then finds our second HELLO: it has our session, from request 0."""
    talk = Talk()
    talk.hear(Type.WELCOME, 0, WELCOME.pack())
    assert talk.session.error is None
    talk.hear(Type.WELCOME, 0, Welcome(1, 1, 1, 1, 2, 128, 512, 262).pack())
    assert isinstance(talk.session.error, BoardReset)
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.reply(0)
    talk.session.submit(READ)
    talk.out()
    assert talk.wait() == [("PING", 1)]
    talk.hear(Type.PONG, 1, ack=0)
    assert talk.session.state is State.OPEN  # a copy that the line made looks the same
    assert talk.kinds()[0] == ("PING", 2)
    talk.hear(Type.PONG, 2, ack=0)
    assert talk.session.state is State.ASKING


def test_nobody_there():
    talk = Talk(welcome=None)
    error = talk.until_broken()
    assert isinstance(error, NoAnswer)
    assert "not a single byte" in str(error)
    assert talk.now - 100.0 == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Hello from Blink 1.0\r\n", "Hello from Blink"),
        (bytes([0xE6, 0x98, 0x00, 0x06] * 20), "e6 98 00 06"),
        (bytes([0xE6, 0x98, 0x80, 0x06] * 2100), "e6 98 80 06"),
    ],
)
def test_somebody_else(data, words):
    talk = Talk(welcome=None)
    talk.out()
    talk.session.receive(data, talk.now)
    error = talk.until_broken()
    assert isinstance(error, ForeignPeer)
    assert words in str(error)
    assert "baud" in str(error)


@pytest.mark.parametrize("data", [bytes(range(1, 200)), b"\x9c\x9d\0", b"\x9c\x9d\0\x9e\x9f"])
def test_pieces_of_frames_are_nobody(data):
    # The end of a frame that began before the port was opened, one that the line holds back: who
    # sent them cannot be told.
    talk = Talk(welcome=None)
    talk.out()
    talk.session.receive(data, talk.now)
    error = talk.until_broken()
    assert isinstance(error, NoAnswer)
    assert f"{len(data)} bytes that are no frame" in str(error)
    assert "baud" in str(error)


def test_an_echo():
    talk = Talk(welcome=None)
    talk.session.receive(talk.session.transmit(talk.now), talk.now)
    error = talk.until_broken()
    assert isinstance(error, ForeignPeer)
    assert "echo" in str(error)


def test_a_board_that_hangs_in_invoke():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.reply(0)
    talk.session.submit(message.Run(3, 1, b"abcd", 4))
    talk.out()
    error = talk.until_broken()
    assert isinstance(error, NoAnswer)
    assert "RUN 1 was sent, all earlier requests were answered" in str(error)
    assert "Invoke" in str(error)


def test_a_board_that_takes_a_request_and_loses_its_reply():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    while talk.session.error is None:
        for kind, number in talk.wait():
            if kind == "PING":
                talk.hear(Type.PONG, number, ack=1)
    assert isinstance(talk.session.error, ProtocolMismatch)
    assert "took READ 0" in str(talk.session.error) or "gave up READ 0" in str(talk.session.error)


def test_a_board_that_never_takes_a_request():
    talk = Talk()
    talk.session.submit(READ)
    rounds = 0
    while talk.session.error is None:
        rounds += 1
        for kind, number in talk.kinds():
            if kind == "PING":
                talk.now += 0.001
                talk.hear(Type.GAP, number, ack=0)
        if rounds == 1:
            talk.hear(Type.GAP, 0, ack=0)
    assert isinstance(talk.session.error, LineTooNoisy)
    assert rounds < 200
    assert "requests sent again" in str(talk.session.error)


def test_time_in_which_nobody_looked_is_not_the_board_s_fault():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.now += 3600  # the caller was busy, or the laptop slept
    assert talk.kinds() == [("PING", 1)]
    assert talk.session.error is None
    talk.reply(0)
    assert talk.replied() == [0]


def test_an_idle_hour():
    talk = Talk()
    talk.now += 3600
    talk.session.submit(READ)
    assert talk.kinds() == [("READ", 0)]
    talk.now += 4.9
    talk.out()
    assert talk.session.error is None


def test_text_and_logs():
    talk = Talk()
    talk.hear(Type.LOG, 6, "arena 64 °C".encode(), session=0)
    talk.hear(Type.LOG, 6, "arena 64 °C".encode(), session=0)
    talk.hear(Type.LOG, 9, b"on")
    talk.session.receive(b"\0printed\r\n\0\xff\xff\xff\xff\0", talk.now)
    assert talk.events() == [
        Said("arena 64 °C", False),
        Said("on", False),
        Said("printed\r\n", True),
    ]
    counters = talk.session.counters
    assert (counters.logs_missed, counters.text_bytes, counters.damaged) == (2, 9, 1)


def test_the_last_words_of_a_board_that_crashed():
    talk = Talk()
    talk.session.submit(message.Run(3, 1, b"abcd", 4))
    talk.out()
    talk.session.receive(b"Guru Meditation Error: Core 0 panic'ed", talk.now)
    talk.until_broken()
    said = [each for each in talk.events() if isinstance(each, Said)]
    assert said == [Said("Guru Meditation Error: Core 0 panic'ed", True)]


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_any_bytes_at_any_time(chunks, opened):
    talk = Talk(welcome=WELCOME if opened else None)
    if opened:
        talk.session.submit(READ)
    for chunk in chunks:
        talk.session.receive(chunk, talk.now)
        talk.out()
        talk.now += 0.01
    assert not [each for each in talk.events() if isinstance(each, Replied)]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Type, 0x96, 0x9F, 0]),
            st.integers(0, 8) | st.integers(0, 0xFFFF),
            st.integers(0, 8) | st.integers(0, 0xFFFF),
            st.binary(max_size=30) | st.just(OK),
            st.sampled_from([NUMBER, NUMBER, NUMBER, 0, 1]),
        ),
        max_size=30,
    )
)
def test_any_frames_at_any_time(frames):
    """Frames that are whole but nonsense: each request still has one reply at most, in order."""
    talk = Talk()
    replied = []
    for kind, number, ack, payload, session in frames:
        if talk.session.error is None:
            talk.session.submit(READ)
        talk.out()
        talk.hear(kind, number, payload, ack, session)
        replied += talk.replied()
        talk.now += 0.01
    assert replied == list(range(len(replied)))
    assert talk.session.outstanding <= len(frames)


def test_every_state_has_its_moves():
    assert set(_MOVES) == set(State)
    assert _MOVES[State.BROKEN] == {State.BROKEN}
    with pytest.raises(ValueError, match="cannot become"):
        Session()._move(State.OPEN)


def test_a_session_says_hello_once():
    session = Session()
    session.open(0.0)
    session.transmit(0.0)
    with pytest.raises(ValueError, match="takes no requests"):
        session.submit(READ)


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    code = (
        "import sys; import pytest_tflm.link;"
        "print([m for m in ('numpy','serial','cobs','filelock','hypothesis') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CRASH = b"\x03\x44\x23\x01\x00nothing at 0x90000000"


def test_a_crash_ends_the_session_whatever_session_it_carries():
    talk = Talk()
    talk.session.submit(READ)
    talk.out()
    talk.hear(Type.CRASH, 0, CRASH, session=0)
    error = talk.events()[0].error
    assert isinstance(error, BoardCrashed)
    assert "bus fault at address 0x00012344: nothing at 0x90000000" in str(error)
    assert "READ 0 had no answer" in str(error)
    talk.hear(Type.CRASH, 0, CRASH, session=0)
    assert talk.events() == []


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"\0\0\0\0\0", "does not name"),
        (b"\xff\0\0\0\0later", "does not name: later"),
        (b"\x05\1\0\0\0\xff", "abort()"),
    ],
)
def test_a_crash_of_any_kind_is_told(payload, shown):
    talk = Talk()
    talk.hear(Type.CRASH, 0, payload, session=0)
    assert shown in str(talk.events()[0].error)


def test_half_a_crash_is_ignored():
    talk = Talk()
    talk.hear(Type.CRASH, 0, b"\x03\0\0\0", session=0)
    assert talk.events() == []


def test_a_board_that_lies_there_says_so_to_each_hello_and_an_old_crash_is_no_such_board():
    talk = Talk(welcome=None)
    talk.out()
    talk.hear(Type.CRASH, 0, CRASH, session=0)
    assert talk.events() == []
    talk.hear(Type.WELCOME, 0, WELCOME.pack(), ack=0)
    assert isinstance(talk.events()[0], Opened)

    talk = Talk(welcome=None)
    talk.out()
    talk.hear(Type.CRASH, 0, CRASH, session=0)
    talk.hear(Type.CRASH, 0, CRASH, session=0)
    assert isinstance(talk.events()[0].error, BoardCrashed)
