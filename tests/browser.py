"""A real browser for the tests of the page: headless Chromium, spoken to over a pipe."""

from __future__ import annotations

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

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 60.0
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars"),
)


def chromium() -> str | None:
    """Return the path of a browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One tab: commands of the DevTools protocol go in, answers and events come out."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back = to, back
        self.number, self.rest = 0, b""
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.back], [], [], PATIENCE_S)[0], "the browser does not answer"
            part = os.read(self.back, 1 << 20)
            assert part, "the browser is gone"
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def open(self, page: Path) -> None:
        """Load a page from disk and wait until its script has run."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        waiting = (
            "new Promise(go => document.readyState === 'complete' ? go() : addEventListener('load', go))"
        )
        self.js(waiting)

    def js(self, code: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, code: str) -> None:
        """Wait until an expression holds, fifteen seconds at the most."""
        look = f"const look = () => ({code}) ? go(true) : performance.now() > end ? go(false) : setTimeout(look, 20)"
        assert self.js(f"new Promise(go => {{ const end = performance.now() + 15000; {look}; look(); }})"), (
            code
        )

    def settle(self) -> None:
        """Wait until the page has been laid out and drawn anew."""
        self.js("new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def click(self, selector: str) -> None:
        """Click the first element of a selector."""
        self.js(f"document.querySelector({json.dumps(selector)}).click()")

    def key(self, name: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, text="\r" if name == "Enter" else "")

    def complaints(self) -> list[Any]:
        """Return errors and warnings that the page has made so far."""
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [e["params"] for e in self.events if e["method"] in kinds]

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for."""
        return [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    """Start a browser with an empty profile of its own, and end it."""
    program = chromium()
    assert program
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    words = [program, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    # The browser reads from its file 3 and writes to its file 4; a shell's redirections know one digit only.
    code = f"import os, sys; os.dup2({to_read}, 3); os.dup2({back_write}, 4); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, *words],
        pass_fds=(to_read, back_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(back_write)
    try:
        yield Tab(to_write, back_read)
    finally:
        os.close(to_write)
        os.close(back_read)
        process.kill()
        process.wait()
