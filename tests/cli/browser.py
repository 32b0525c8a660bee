"""A headless browser, driven over its DevTools protocol through two pipes."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")
FOUND = next((path for name in NAMES if (path := shutil.which(name))), None)

_SECONDS = 60
"""The timeout for one answer of the browser."""

_START = """
import os, sys
for number, place in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(number), place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One page of a browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._read = commands, answers, b""
        self._number, self._session = 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Sends one command; returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, file: Path, *, width: int, scripts: bool = True, dark: bool = False, media: str = "screen") -> None:
        """Loads a file in a window of this width."""
        height = 844 if width < 500 else 900
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses and releases a key."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    @property
    def complaints(self) -> list[str]:
        """Errors of the page since it was opened, including scripts and styles that its policy blocked."""
        exceptions = [str(event["params"]) for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        entries = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        return exceptions + [entry["text"] for entry in entries if entry["level"] == "error"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            assert select.select([self._answers], [], [], _SECONDS)[0], "the browser does not answer"
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser has ended"
            self._read += more
        content, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(content)
        if "method" in message and self._session:
            self.events.append(message)
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser with its profile in a folder; it ends with the block."""
    assert FOUND
    (commands_out, commands), (answers, answers_in) = os.pipe(), os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 30) for end in (commands_out, answers_in)]
    line = [FOUND, "--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, theirs), *line],
        pass_fds=theirs,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (commands_out, answers_in, *theirs):
        os.close(end)
    try:
        yield Page(commands, answers)
    finally:
        # It ends with all its processes once its command pipe is closed.
        os.close(commands)
        process.wait(20)
        os.close(answers)
