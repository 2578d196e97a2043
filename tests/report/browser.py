"""A browser under a test's control, over Chromium's debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
)
_HIGH = 50
_MOVES = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
_LONGEST_ANSWER = 120.0
"""Seconds: a browser starts slowly on a machine that does much besides."""


class Browser:
    """Chromium without a window, with one page. ``profile`` is an empty folder for its files."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        # The browser reads commands from its descriptor 3 and writes answers to 4; a shell moves
        # them there from numbers that are surely others.
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH) for fd in (commands, answers)]
        words = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", _MOVES, "bash", *map(str, theirs), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=theirs,
            start_new_session=True,
        )
        for fd in (commands, answers, *theirs):
            os.close(fd)
        self._number = 0
        self._held = b""
        self.events: list[dict[str, Any]] = []
        """What happened and is no answer: requests, messages of the console."""
        (page,) = [
            each
            for each in self._send("Target.getTargets")["targetInfos"]
            if each["type"] == "page"
        ]
        attached = self._send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A command of the DevTools protocol for the page, and its result."""
        return self._send(method, self._session, **arguments)

    def open(self, path: Path, width: int, height: int = 900, **media: str) -> None:
        """Open a file in a window of this size, and wait until it is loaded. ``media`` are features
        of the media that it is shown on, ``prefers_color_scheme="dark"``, or ``media="print"``."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [
            {"name": name.replace("_", "-"), "value": value}
            for name, value in media.items()
            if name != "media"
        ]
        self.call("Emulation.setEmulatedMedia", media=media.get("media", ""), features=features)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(each["method"] == "Page.loadEventFired" for each in self.events):
            self._receive()

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page. The page's own policy is not asked."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End the browser, and all that it started."""
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, method: str, session: str | None = None, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        command = {"id": self._number, "method": method, "params": arguments}
        if session is not None:
            command["sessionId"] = session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        """The next message; an event is kept as well."""
        end = time.monotonic() + _LONGEST_ANSWER
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._in, 1 << 16) if ready else b""
            assert piece, "the browser ended or does not answer"
            self._held += piece
        text, _, self._held = self._held.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message
