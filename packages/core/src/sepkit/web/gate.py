"""What no request gets past: bodies above the limit, and other sites' pages that call on a server of one's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from .limits import Limits, TooLarge
from .uploads import too_many_bytes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SPARE_BYTES = 100_000  # of a form around its file
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Gate:
    """An ASGI application in front of another.

    A body that is or becomes too large is answered with 413 before it is kept anywhere. Where the server is bound to
    loopback only its own names are answered, and nowhere a request that a page of another origin changes something by.
    """

    def __init__(self, app: App, limits: Limits, *, loopback: bool) -> None:
        self._app, self._limits, self._loopback = app, limits, loopback
        self._most = limits.max_bytes + SPARE_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self._loopback and _host(f"//{headers.get('host', '')}") not in LOOPBACK:
            return await _answer(send, 403, "This server answers to localhost only.", "Refusal")
        origin = headers.get("origin")
        if origin and scope["method"] not in ("GET", "HEAD", "OPTIONS") and not _same(origin, headers.get("host", "")):
            return await _answer(send, 403, f"A page of {origin} may not use this server.", "Refusal")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._most:
            return await _answer(send, 413, too_many_bytes(self._limits), "TooLarge")
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a body of unknown length as long as it stays within the limit."""
        count, begun = 0, False

        async def counting() -> MutableMapping[str, Any]:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._most:
                raise TooLarge(too_many_bytes(self._limits))  # whatever the application makes of that
            return message

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if count > self._most and not begun:
                return
            begun = True
            await send(message)

        with contextlib.suppress(TooLarge):
            await self._app(scope, counting, sending)
        if count > self._most and not begun:
            await _answer(send, 413, too_many_bytes(self._limits), "TooLarge")


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


async def _answer(send: Send, status: int, message: str, kind: str) -> None:
    body = json.dumps({"error": message, "kind": kind}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
