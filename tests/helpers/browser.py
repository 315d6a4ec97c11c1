"""A real Chromium, driven through its debugging protocol: one start for many pages."""

from __future__ import annotations

import asyncio
import base64
import importlib.resources
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium")

VIEWS = ((1280, "light"), (390, "dark"))
"""Windows, wide and narrow, and what their users like."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
_SECONDS = 100.0
_AXE = importlib.resources.files("axe_core_python") / "axe.min.js"
_RUN_AXE = """axe.run().then(found => JSON.stringify(found.violations.map(
    one => [one.id, one.impact, ...one.nodes.map(node => node.html.slice(0, 200))])))"""


class Browser:
    """One tab; `messages` are what its console, its policy and its exceptions said.

    Args:
        profile: a directory for its profile.
    """

    def __init__(self, profile: Path) -> None:
        self.messages: list[str] = []
        self._runner = asyncio.Runner()
        self._numbers = iter(range(1, 1_000_000))
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        lines = iter(self._process.stderr)
        found = next(at for line in lines if (at := re.search(r"ws://([^/]+)/", line)))
        self._runner.run(self._connect(found[1]))
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End it."""
        self._runner.run(self._session.close())
        self._runner.close()
        self._process.kill()
        self._process.communicate()

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol."""
        return self._runner.run(self._call(method, parameters))

    def open(self, url: str, width: int = 1280, scheme: str = "light") -> None:
        """Load a page in a window of a width, for somebody who likes it light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self._runner.run(self._open(url))

    def value(self, script: str) -> Any:
        """Evaluate an expression, and wait for it if it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press_tab(self) -> None:
        """Press the tabulator key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)

    def violations(self) -> Any:
        """What axe-core finds: rule, impact, elements."""
        self.value(f"{_AXE.read_text(encoding='utf-8')}; 0")
        return json.loads(self.value(_RUN_AXE))

    def screenshot(self, path: Path) -> bytes:
        """Save a picture of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        data = base64.b64decode(found["data"])
        path.write_bytes(data)
        return data

    async def _connect(self, address: str) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{address}/json") as answer:
            tabs = await answer.json()
        tab = next(tab for tab in tabs if tab["type"] == "page")
        self._socket = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_SECONDS):
            while True:
                message = await self._message()
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]

    async def _open(self, url: str) -> None:
        await self._call("Page.navigate", {"url": url})
        async with asyncio.timeout(_SECONDS):
            while (await self._message()).get("method") != "Page.loadEventFired":
                pass

    async def _message(self) -> Any:
        message = await self._socket.receive_json()
        method, parameters = message.get("method"), message.get("params", {})
        if method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.messages.append(json.dumps(parameters))
        return message
