"""The worker: whatever its process does, this one gets an answer or an error with a name."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_tflm.errors import InterpreterCrashed, InterpreterRefused
from pytest_tflm.runtime.worker import Worker

FAULTY = "tests.runtime.faulty:Faulty"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("faulty", FAULTY)
    yield worker
    worker.close()


def is_gone(pid: int, seconds: float = 60) -> bool:
    """The process ends within that time. One that nobody has waited for yet is gone, too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


def test_values_come_back_as_they_are(worker: Worker) -> None:
    value = {"a": (1, "ü", None), "b": np.arange(6, dtype=np.int8).reshape(2, 3)}
    back = worker.call("echo", value)
    assert back["a"] == value["a"]
    assert back["b"].dtype == np.int8
    assert back["b"].tolist() == value["b"].tolist()
    assert back["b"].flags.writeable
    assert worker.call("echo", np.float32(1.5).reshape(())).shape == ()


def test_the_object_lives_as_long_as_the_process(worker: Worker) -> None:
    assert [worker.call("count") for _ in range(3)] == [1, 2, 3]
    assert worker.starts == 1
    worker.close()
    assert worker.pid is None
    assert worker.call("count") == 1
    assert worker.starts == 2


def test_an_exception_is_a_refusal_with_its_text_and_what_was_printed(worker: Worker) -> None:
    worker.call("shout", 1)
    with pytest.raises(InterpreterRefused) as caught:
        worker.call(
            "fail", "cannot do it", "INFO: hello\nop 7 is unknown\n", doing="in Invoke on x"
        )
    assert str(caught.value) == "faulty failed in Invoke on x: cannot do it (op 7 is unknown)"
    assert caught.value.details == "op 7 is unknown"  # and nothing from the call before
    assert worker.call("count") == 1
    assert worker.starts == 1


def test_an_exception_without_print_has_its_traceback(worker: Worker) -> None:
    with pytest.raises(InterpreterRefused, match="no_such_method") as caught:
        worker.call("no_such_method")
    assert "Traceback" in caught.value.details


def test_what_cannot_be_sent_back_is_a_refusal(worker: Worker) -> None:
    with pytest.raises(InterpreterRefused, match="pickle"):
        worker.call("unpicklable")
    assert worker.call("echo", 5) == 5


def test_what_native_code_prints_disturbs_nothing(worker: Worker) -> None:
    for size in (1, 10, 100_000):
        assert worker.call("shout", size) == size
    assert worker.call("read_standard_input") == b""


@pytest.mark.parametrize(
    ("method", "arguments", "ending"),
    [
        ("null", (), "died with SIGSEGV"),
        ("die", (signal.SIGABRT,), "died with SIGABRT"),
        ("die", (signal.SIGKILL,), "died with SIGKILL (out of memory?)"),
        ("die", (signal.SIGINT,), "died with SIGINT"),
        ("leave", (3,), "ended with exit code 3"),
        ("leave", (0,), "ended with exit code 0"),
    ],
)
def test_a_crash_is_named_and_the_next_call_works(
    worker: Worker, method: str, arguments: tuple[int, ...], ending: str
) -> None:
    assert worker.call("count") == 1
    ticket = worker.submit(
        method, *arguments, who="litert auto", doing="in Invoke on x.tflite", advice="try another"
    )
    with pytest.raises(InterpreterCrashed) as caught:
        worker.next(ticket)
    assert str(caught.value) == f"litert auto {ending} in Invoke on x.tflite; try another"
    assert worker.pid is None
    assert worker.call("count") == 1
    assert worker.starts == 2
    with pytest.raises(InterpreterCrashed, match="faulty died with SIGSEGV in another"):
        worker.call("null", doing="in another")


def test_a_crash_shows_what_was_printed_last(worker: Worker) -> None:
    lines = "".join(f"line {i}\n" for i in range(5000))
    with pytest.raises(InterpreterCrashed) as caught:
        worker.call("die", signal.SIGABRT, lines + "free(): invalid pointer\n")
    assert "line 4999\nfree(): invalid pointer" in caught.value.details
    assert len(caught.value.details.splitlines()) <= 30


def test_a_process_that_was_killed_while_idle_is_an_error_once(worker: Worker) -> None:
    worker.call("count")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    time.sleep(0.1)
    with pytest.raises(InterpreterCrashed, match="SIGKILL"):
        worker.call("count")
    assert worker.call("count") == 1


def test_of_several_calls_the_one_that_crashed_is_named() -> None:
    worker = Worker("faulty", FAULTY)
    first = worker.submit("echo", 1, doing="in A")
    second = worker.submit("null", doing="in B")
    third = worker.submit("echo", 3, doing="in C")
    assert worker.next(first) == 1
    for ticket in (third, second):
        with pytest.raises(InterpreterCrashed, match="SIGSEGV in B"):
            worker.next(ticket)
    worker.close()


@pytest.mark.parametrize(("method", "arguments"), [("sleep", (1000,)), ("hang", ())])
def test_a_hang_ends_at_the_timeout(method: str, arguments: tuple[int, ...]) -> None:
    worker = Worker("faulty", FAULTY, timeout=0.3)
    worker.call("count")
    pid = worker.pid
    with pytest.raises(InterpreterCrashed) as caught:
        worker.call(method, *arguments, doing="in Invoke on x.tflite")
    message = "faulty did not answer within 0.3 s in Invoke on x.tflite and was stopped"
    assert str(caught.value) == message
    assert pid is not None
    assert is_gone(pid)
    assert worker.call("count") == 1
    worker.close()


def test_a_request_may_have_less_time_than_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guard may be asleep for as long as the worker's own timeout."""
    monkeypatch.setattr("pytest_tflm.runtime.worker.START_TIMEOUT", 3600.0)
    worker = Worker("faulty", FAULTY, timeout=3600)
    worker.call("count")
    said: list[str] = []

    def hang() -> None:
        try:
            worker.next(worker.submit("hang", timeout=0.3))
        except InterpreterCrashed as error:
            said.append(str(error))

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    thread.join(120)
    worker.close()
    assert said == ["faulty did not answer within 0.3 s and was stopped"]


def test_a_process_that_cannot_be_started(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where all file descriptors are in use."""

    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for name in ("subprocess.Popen", "tempfile.TemporaryFile"):
        with monkeypatch.context() as patch:
            patch.setattr(name, none_left)
            with pytest.raises(
                InterpreterCrashed, match=r"faulty cannot be started: Too many open"
            ):
                worker.call("echo", 1)
    assert worker.call("echo", 1) == 1


def test_the_time_for_a_start_ends_with_the_start() -> None:
    """Of the first call, only the import of an interpreter's package may take longer."""
    with Worker("faulty", FAULTY, timeout=0.3) as worker:
        for _ in range(2):  # and of the first one after the process was ended
            with pytest.raises(InterpreterCrashed, match=r"did not answer within 0\.3 s"):
                worker.call("start_and_hang")
        assert worker.call("echo", 5) == 5


def test_a_process_that_reads_nothing_ends_at_the_timeout_too() -> None:
    """Sending must not block for ever either."""
    worker = Worker("faulty", FAULTY, timeout=0.3)
    worker.call("count")
    ticket = worker.submit("hang")
    worker.submit("echo", bytes(10_000_000))
    with pytest.raises(InterpreterCrashed, match="did not answer"):
        worker.next(ticket)
    worker.close()


@pytest.mark.slow
def test_a_timeout_is_for_each_reply_and_not_for_idle_time() -> None:
    worker = Worker("faulty", FAULTY, timeout=5)
    worker.call("count")
    time.sleep(5.5)
    ticket = worker.submit("numbers", 8, 0.7)
    assert [worker.next(ticket) for _ in range(8)] == list(range(8))
    assert worker.starts == 1
    worker.close()


def test_items_of_a_generator_come_while_it_runs(worker: Worker) -> None:
    worker.call("count")
    ticket = worker.submit("numbers", 5, 0.2)
    assert worker.next(ticket) == 0
    assert not ticket.finished
    assert len(ticket.replies) < 4  # the others are still to be made
    assert [worker.next(ticket) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(StopIteration):
        worker.next(ticket)
    ticket = worker.submit("numbers", 0)
    with pytest.raises(StopIteration):
        worker.next(ticket)


@pytest.mark.parametrize(
    ("end", "error"), [("raise", InterpreterRefused), ("die", InterpreterCrashed)]
)
def test_items_before_an_error_are_given_first(
    worker: Worker, end: str, error: type[Exception]
) -> None:
    ticket = worker.submit("numbers_until", 7, end)
    assert [worker.next(ticket) for _ in range(7)] == list(range(7))
    if end == "die":
        assert worker.next(ticket) == 7
    with pytest.raises(error):
        worker.next(ticket)
    assert worker.call("echo", 1) == 1


def test_replies_find_their_tickets(worker: Worker) -> None:
    tickets = [worker.submit("numbers", 100) for _ in range(3)]
    worker.drop(tickets[0])
    mixed = [(worker.next(tickets[2]), worker.next(tickets[1])) for _ in range(100)]
    assert mixed == [(i, i) for i in range(100)]
    assert not tickets[0].replies  # nobody would ever take them
    assert worker.call("echo", "after") == "after"


def test_large_messages_both_ways_do_not_block_each_other(worker: Worker) -> None:
    block = os.urandom(3_000_000)
    tickets = [worker.submit("twice", block) for _ in range(6)]
    assert all(worker.next(ticket) == block + block for ticket in tickets)


def test_ctrl_c_in_a_call_ends_it_and_the_next_call_works(worker: Worker) -> None:
    worker.call("count")
    pid = worker.pid
    with pytest.raises(KeyboardInterrupt):
        worker.call("interrupt_parent")
    assert pid is not None
    assert is_gone(pid)
    assert worker.call("count") == 1


def test_a_forgotten_worker_ends_its_process() -> None:
    worker = Worker("faulty", FAULTY)
    worker.call("count")
    pid = worker.pid
    assert pid is not None
    del worker
    gc.collect()
    assert is_gone(pid)


def test_crashes_leave_no_pipe_and_no_thread_behind(worker: Worker) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    threads = threading.active_count()
    for _ in range(5):
        with pytest.raises(InterpreterCrashed):
            worker.call("null")
    worker.close()
    gc.collect()
    end = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= threads
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


# What follows needs a parent that can be killed or set up oddly: a script in a process of its own.


def start(script: str, cwd: Path, *, group: bool = False) -> subprocess.Popen[str]:
    """Run ``script`` with a worker ``w``; it prints the worker's pid in its first line."""
    head = f"""
        import sys, time
        sys.path.append({str(ROOT)!r})
        from pytest_tflm.runtime import worker
        from pytest_tflm.runtime.worker import Worker
        def show(w):
            w.call("count")
            print(w.pid, flush=True)
    """
    file = cwd.parent / "script.py"
    file.write_text(textwrap.dedent(head) + textwrap.dedent(script))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.Popen(
        [sys.executable, str(file)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean,
        start_new_session=group,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cwd"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "busy",
    ["time.sleep(1000)", 'w.call("sleep", 1000)', 'w.submit("sleep", 1000); time.sleep(1000)'],
)
def test_the_worker_dies_with_its_parent(folder: Path, busy: str) -> None:
    script = f'w = Worker("w", {FAULTY!r}); show(w)\n{busy}'
    with start(script, folder) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    assert is_gone(pid)


@pytest.mark.slow
def test_a_worker_that_is_stuck_dies_after_its_parent(folder: Path) -> None:
    """In native code that holds the interpreter lock no thread can see the pipe close."""
    script = f"""
        worker.START_TIMEOUT = 4
        w = Worker("w", {FAULTY!r}, timeout=4)
        show(w)
        w.submit("hang")
        time.sleep(1000)
    """
    with start(script, folder) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    assert is_gone(pid)


def test_ctrl_c_in_the_terminal_leaves_no_orphan(folder: Path) -> None:
    """SIGINT goes to the whole group; the worker is not in it, and ends with its parent."""
    script = f"""
        w = Worker("w", {FAULTY!r})
        show(w)
        try:
            ticket = w.submit("sleep", 1000)
            print("calling", flush=True)
            w.next(ticket)
        except KeyboardInterrupt:
            print("interrupted", w.call("count"), w.pid, flush=True)
            raise
    """
    with start(script, folder, group=True) as parent:
        assert parent.stdout is not None
        first = int(parent.stdout.readline())
        assert os.getpgid(first) != os.getpgid(parent.pid)
        assert parent.stdout.readline() == "calling\n"
        time.sleep(1)  # until it waits for the reply: earlier, Ctrl-C would not meet the call
        os.killpg(parent.pid, signal.SIGINT)
        output = parent.stdout.read()
    word, count, second = output.split()[:3]
    assert (word, count) == ("interrupted", "1")
    assert is_gone(first)
    assert is_gone(int(second))


def test_ctrl_c_does_not_reach_the_worker(folder: Path) -> None:
    script = f"""
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        w = Worker("w", {FAULTY!r})
        show(w)
        print("slept", w.call("sleep", 0.6), flush=True)
    """
    with start(script, folder, group=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        time.sleep(0.2)
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.read() == "slept 0.6\n"


def test_nothing_in_the_working_directory_or_before_the_path_shadows(folder: Path) -> None:
    """Files named like modules of the standard library and of ours, in the working directory and
    in a directory that somebody put first."""
    first = folder.parent / "first"
    first.mkdir()
    for place in (folder, first):
        for name in ("queue", "pickle", "types", "faulthandler", "traceback", "numpy"):
            (place / f"{name}.py").write_text("print('shadow')\nraise SystemExit(9)\n")
        (place / "pytest_tflm").mkdir()
        (place / "pytest_tflm" / "__init__.py").write_text("raise SystemExit(8)\n")
    script = f"""
        sys.path.insert(0, {str(first)!r})
        sys.path.insert(0, "")
        w = Worker("w", {FAULTY!r})
        show(w)
        for name in ("pytest_tflm.runtime.worker_main", "queue", "numpy"):
            print(w.call("where", name))
        print({str(folder)!r} in w.call("path"), "" in w.call("path"))
        print("pytest" in w.call("modules"))
    """
    with start(script, folder) as parent:
        output = parent.communicate(timeout=120)[0].splitlines()
    assert output[1] == str(ROOT / "pytest_tflm" / "runtime" / "worker_main.py")
    assert output[2].startswith(os.path.dirname(os.__file__))  # noqa: PTH120
    assert "site-packages" in output[3]
    assert output[4:] == ["False False", "False"]


def test_importing_the_room_imports_nothing_heavy() -> None:
    script = (
        "import sys; import pytest_tflm.runtime, pytest_tflm.runtime.interpreter; "
        "print([m for m in ('numpy', 'ai_edge_litert', 'tensorflow', 'tflite_micro', 'pytest') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_process_that_cannot_be_started_is_a_named_error(monkeypatch: Any) -> None:
    def no_descriptors(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def count() -> int:
        open_now = Path("/proc/self/fd")
        return sum(1 for _ in open_now.iterdir()) if open_now.exists() else 0

    before = count()
    monkeypatch.setattr(subprocess, "Popen", no_descriptors)
    with Worker("the test's process") as worker:
        with pytest.raises(InterpreterCrashed, match=r"cannot be started: .*Too many open files"):
            worker.call("echo", 1)
        assert count() == before
        monkeypatch.undo()
        assert worker.pid is None


def test_a_reply_cannot_call_anything_in_this_process(worker: Worker, tmp_path: Path) -> None:
    made = tmp_path / "made by the reply"
    with pytest.raises(InterpreterCrashed, match=r"replied with \w+\.mkdir, instead of numbers"):
        worker.call("call_in_the_parent", str(made))
    assert not made.exists()
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    for value in (array, array[:, ::2], [array[0, 0]], {"a": (None, True, 1.5, b"x", "y")}):
        echoed = worker.call("echo", value)
        assert repr(echoed) == repr(value)
