"""One guest's QMP socket: which address each of its adapters has now.  The only importer of qemu.qmp.

What stands at the other end may be a QEMU that its guest has taken over, or no QEMU at all: every line is bounded, every
answer has a deadline and is checked, and events are only a reason to ask again, so many of them are one question in
PAUSE_S.  Who sends more than MESSAGES_MAX in a second is hung up on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from qemu.qmp import Message, QMPClient, QMPError, Runstate

LINE_MAX = 1 << 20                 # octets; a guest with sixteen adapters and full multicast lists says 40 KiB
ANSWER_S = 5.0                     # the longest that one answer may take
PAUSE_S = 0.1                      # between one question and the next
LOOK_S = 1.0                       # how often we look whether the other end is still there
MESSAGES_MAX = 2000                # in a second; reading them costs time that all guests share
FILTERS_MAX = 64                   # adapters of one guest
CHANGED = "NIC_RX_FILTER_CHANGED"  # QEMU sends the next one only after `query-rx-filter`

MAC = re.compile(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# HMP `info network`: an adapter at the margin, then what it is plugged into.
ADAPTER = re.compile(r"(\S{1,64}): index=\d+,type=nic,")
TAP = re.compile(r" \\ \S+: index=\d+,type=tap,ifname=([^,\s]{1,15}),")

Answer = TypeVar("Answer")
log = logging.getLogger("vswitchd")

# The library reports on its own what is the guest's doing and of no use to this host's log.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class QmpError(Exception):
    """The other end is not there, hung up, or does not answer as a QEMU does."""


@dataclass(frozen=True)
class Adapter:
    """`mac` is what the guest has set; `own` what QEMU gave it; either, like `tap`, may be unknown ("")."""

    name: str
    mac: str
    own: str = ""
    tap: str = ""


Told = Callable[[list[Adapter]], Awaitable[Mapping[str, bool] | None]]


class _Client(QMPClient):
    """Counts what comes in."""

    _n_messages = 0
    _since_s = 0.0

    def _cb_inbound(self, msg: Message) -> Message:
        """The library's hook for every message; what it raises ends the connection."""
        now_s = time.monotonic()
        if now_s - self._since_s > 1:
            self._since_s, self._n_messages = now_s, 0
        self._n_messages += 1
        if self._n_messages > MESSAGES_MAX:
            raise ValueError(f"more than {MESSAGES_MAX} messages in a second")
        return super()._cb_inbound(msg)


async def follow(path: str, told: Told, changed: asyncio.Event | None = None, unplugged: set[str] | None = None) -> None:
    """Tell the guest's adapters now and after each change, for as long as somebody answers; ends with QmpError.

    What `told` answers becomes the link of each adapter that it names.  `changed` may be set to have them told again;
    `unplugged` are the adapters whose cable we have pulled out, also on a connection before: no other is plugged in.
    """
    client = _Client(readbuflen=LINE_MAX)
    changed = changed or asyncio.Event()
    links = _Links(client, set() if unplugged is None else unplugged)
    # Never accepts: the library keeps every accepted event for ever.
    client.events.event_filter = lambda event: _note(event, changed)
    try:
        await _answer(client.connect(path))
        while True:
            changed.clear()
            await links.settle(await told(await _adapters(client)) or {})
            await asyncio.sleep(PAUSE_S)
            await _until_changed_or_gone(client, changed)
    except (QMPError, OSError, EOFError, ValueError) as error:
        raise QmpError(str(error) or type(error).__name__) from None
    finally:
        with contextlib.suppress(Exception, asyncio.TimeoutError):
            await asyncio.wait_for(client.disconnect(), ANSWER_S)


class _Links:
    """The links of a guest's adapters.  Somebody else may pull a cable, and that is no business of ours."""

    def __init__(self, client: QMPClient, unplugged: set[str]) -> None:
        self._client = client
        self._unplugged = unplugged    # by us, ever
        self._said_down: set[str] = set()            # on this connection: a QEMU that was started anew has every link up

    async def settle(self, wanted: Mapping[str, bool]) -> None:
        for name, is_up in wanted.items():
            if name not in (self._unplugged if is_up else wanted.keys() - self._said_down):
                continue
            try:
                await _ask(self._client, "set_link", {"name": name, "up": is_up})
            except QMPError as error:                # an adapter that knows no link
                log.warning("the link of %s cannot be set: %s", name, error)
            for known in (self._unplugged, self._said_down):
                (known.discard if is_up else known.add)(name)


def _note(event: Message, changed: asyncio.Event) -> bool:
    if event.get("event") == CHANGED:
        changed.set()
    return False


async def _until_changed_or_gone(client: QMPClient, changed: asyncio.Event) -> None:
    """Return on a change; QmpError when the connection has ended."""
    while not changed.is_set():
        if client.runstate != Runstate.RUNNING:
            raise QmpError("it hung up")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(changed.wait(), LOOK_S)


async def _adapters(client: QMPClient) -> list[Adapter]:
    filters = await _ask(client, "query-rx-filter")
    if not isinstance(filters, list):
        raise QmpError("`query-rx-filter` was answered with no list")
    taps = await _taps(client)
    found = []
    for said in filters[:FILTERS_MAX]:
        name, mac = (said.get("name"), said.get("main-mac")) if isinstance(said, dict) else (None, None)
        if isinstance(name, str) and NAME.fullmatch(name) and isinstance(mac, str) and MAC.fullmatch(mac):
            found.append(Adapter(name, mac.lower(), await _own_mac(client, name), taps.get(name, "")))
    return found


async def _taps(client: QMPClient) -> dict[str, str]:
    """Adapter -> its TAP, where QEMU opened one by its name.  QMP proper does not say; libvirt hands file descriptors in."""
    try:
        text = await _ask(client, "human-monitor-command", {"command-line": "info network"})
    except QMPError:
        return {}
    taps: dict[str, str] = {}
    adapter = ""
    for line in str(text).splitlines():
        if match := ADAPTER.match(line):
            adapter = match[1]
        elif (match := TAP.match(line)) and adapter:
            taps[adapter] = match[1]
    return taps


async def _own_mac(client: QMPClient, name: str) -> str:
    """The address that an adapter with an `id` was started with; the guest cannot change this property."""
    try:
        mac = await _ask(client, "qom-get", {"path": f"/machine/peripheral/{name}", "property": "mac"})
    except QMPError:
        return ""                      # it has no id, or is of a kind without the property
    return mac.lower() if isinstance(mac, str) and MAC.fullmatch(mac) else ""


async def _ask(client: QMPClient, command: str, arguments: dict[str, Any] | None = None) -> object:
    return await _answer(client.execute(command, arguments))


async def _answer(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asyncio.wait_for(asked, ANSWER_S)
    except TimeoutError:
        raise QmpError(f"no answer within {ANSWER_S:g} s") from None
