"""Refuses requests with a body larger than any topology, before it is read: no asker can fill vswitchd's memory.

Part of the web server (ASGI): it stands before everything that reads a request.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vswitch.errors import UsageError

BODY_MAX = 8 * 1024 * 1024         # octets: a topology has 1 MiB, and JSON may write six for one of them
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyLimit:
    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []
        n = int(dict(scope["headers"]).get(b"content-length", b"0"))
        while n <= BODY_MAX:
            message = await receive()
            if message["type"] != "http.request":
                return                               # it hung up
            parts.append(message.get("body", b""))
            n = max(n, sum(map(len, parts)))
            if not message.get("more_body"):
                break
        if n > BODY_MAX:
            await _refuse(send)
            return
        whole: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]
        await self._app(scope, lambda: _next(whole, receive), send)


async def _next(whole: list[Message], receive: Receive) -> Message:
    return whole.pop() if whole else await receive()


async def _refuse(send: Send) -> None:
    said = {"error": UsageError.__name__, "message": f"a request of more than {BODY_MAX >> 20} MiB; a topology has 1 MiB at most"}
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
