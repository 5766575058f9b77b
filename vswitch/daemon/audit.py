"""Who asked for which change, and how it ended: an entry in `vswitch show events` and a line in the log for each."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
import struct
from asyncio import Transport
from collections.abc import Callable

from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from vswitch.daemon.journal import Journal
from vswitch.daemon.notes import told
from vswitch.errors import RefusedError, RolledBackError, TopologyError, UsageError, VswitchError, WaitingError
from vswitch.plan import Step

REFUSALS = (RefusedError, RolledBackError, TopologyError, UsageError)
KNOWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")   # what a topology may be called; all else shares one list of events
NAME = re.compile(r"^name:[ \t]*[\"']?([A-Za-z0-9._-]+)", re.MULTILINE)

Done = tuple[str, list[Step]]


class PeerProtocol(H11Protocol):
    """HTTP that knows who is at the other end of its UNIX socket, by the kernel's word (SO_PEERCRED)."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
            self.client = (f"uid {uid}", pid)


def who(request: Request) -> str:
    """Who asks, in words: `root (uid 0, pid 4711)`."""
    if request.client is None or not request.client.host.startswith("uid "):
        return "an unknown user"
    uid = request.client.host.removeprefix("uid ")
    name = ""
    with contextlib.suppress(KeyError):
        name = pwd.getpwuid(int(uid)).pw_name
    return f"{name or 'a user without a name'} (uid {uid}, pid {request.client.port})"


def name_in(text: str) -> str:
    """The name that a topology file gives itself, without reading the rest of it; "" when it gives none."""
    found = NAME.search(text)
    return found[1] if found else ""


class Audit:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, asker: str, words: str, topology: str, event: str, do: Callable[[], Done]) -> Done:
        """What `do` returns or raises; `words` is the command, `event` what a success is called."""
        try:
            name, steps = do()
        except Exception as error:
            kind, how = _ending(error, event)
            message = str(error) if isinstance(error, VswitchError) else repr(error)
            told_as = f"`{words}` of {asker} {how}: {message.strip() or type(error).__name__}"
            self._journal.of(topology if KNOWN.fullmatch(topology) else "?").audit(kind, told_as)
            raise
        events, text = self._journal.of(name), f"`{words}` of {asker}: {told(steps)}"
        if steps or event != "changed":
            events.audit(event, text)
        else:
            events.audit_only(text)
        return name, steps


def _ending(error: Exception, event: str) -> tuple[str, str]:
    """What the event of an error is called, and what became of the command."""
    if isinstance(error, WaitingError):
        return event, "is done, but for what is not there"
    return ("refused", "was refused") if isinstance(error, REFUSALS) else ("failed", "failed")


def command(word: str, file: str = "", **options: object) -> str:
    """The command line that asks for this, as far as it matters."""
    said = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in options.items() if value]
    return " ".join([word, *([os.path.normpath(file)] if file else []), *said])
