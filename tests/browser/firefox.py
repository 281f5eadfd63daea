"""Firefox by WebDriver BiDi, which it speaks itself: a page, scripts in it, files, complaints.

Playwright drives its own build of Firefox alone; this drives the one that people have.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
PATIENCE_S, PAUSE_S = 120.0, 0.2
# A camera and a microphone of its own making, given without asking; no calls home.
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
}


class BidiError(Exception):
    """What Firefox says it could not do."""


class Firefox:
    """One tab of a Firefox that runs, and what its page complained about."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._sent = 0
        self.complaints: list[str] = []
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self._tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; raises BidiError."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE_S))
            if message.get("method") == "log.entryAdded":
                self._note(message["params"])
            elif message.get("id") == self._sent:
                if message["type"] == "error":
                    raise BidiError(f"{method}: {message['message']}")
                return message["result"]

    def _note(self, entry: dict[str, Any]) -> None:
        if entry["level"] in {"error", "warn"}:
            self.complaints.append(entry["text"])

    def open(self, address: str, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        self.ask("browsingContext.setViewport", context=self._tab, viewport=size)
        self.ask("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression: a string, a number, a bool or None."""
        target = {"context": self._tab}
        told = self.ask(
            "script.evaluate",
            expression=expression,
            target=target,
            awaitPromise=True,
            userActivation=True,
        )
        if told["type"] == "exception":
            raise BidiError(told["exceptionDetails"]["text"])
        return told["result"].get("value")

    def until(self, expression: str) -> None:
        """Return once an expression is true; raises TimeoutError."""
        ends = time.monotonic() + PATIENCE_S
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > ends:
                raise TimeoutError(f"not true within {PATIENCE_S:g} s: {expression}")
            time.sleep(PAUSE_S)

    def choose(self, selector: str, path: Path) -> None:
        """Give a file to the file input at `selector`."""
        found = self.ask(
            "browsingContext.locateNodes",
            context=self._tab,
            locator={"type": "css", "value": selector},
        )
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.ask("input.setFiles", context=self._tab, element=element, files=[str(path)])

    def picture(self) -> bytes:
        """What the whole page looks like, as PNG."""
        whole = {"context": self._tab, "origin": "document"}
        return base64.b64decode(self.ask("browsingContext.captureScreenshot", **whole)["data"])


@contextmanager
def running(profile: Path) -> Iterator[Firefox]:
    """Run Firefox without a screen, with an empty profile; end it afterwards."""
    assert PROGRAM is not None
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [PROGRAM, "--headless", "--no-remote", "--profile", str(profile)]
    log = profile / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"], stderr=stderr, stdout=stderr
        )
    try:
        with connect(f"{address_in(log)}/session", max_size=None) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        process.wait(30)


def address_in(log: Path) -> str:
    """Wait until Firefox says where it listens; return the address."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        if told := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text()):
            return told[1]
        time.sleep(PAUSE_S)
    raise TimeoutError(f"Firefox does not listen:\n{log.read_text()}")
