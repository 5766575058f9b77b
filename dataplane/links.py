"""The links of a team's uplinks, asked for by the data plane itself: a team fails over also while no vswitchd runs.

vswitchd hears of a link from the kernel, mostly sooner, and says the same by `port_set`.  A packet socket tells nothing of
a cable that is out: what is sent there is lost in silence.  So the interface behind the socket is asked, netdevice(7).

    {"event": "carrier", "port": NAME, "carrier": true | false}
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from dataplane.switch import Switch
from dataplane.team import is_in_team, members_of

log = logging.getLogger("dataplane")
ASK_S = 0.1                        # how long frames may go to an uplink without a link
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40

Tell = Callable[[dict[str, Any], list[int]], None]


class Links:
    def __init__(self, switch: Switch, tell: Tell) -> None:
        self._switch = switch
        self._tell = tell
        self._due_s = 0.0

    def tick(self) -> float | None:
        """Ask, if it is time; when to ask again, None while there is no team."""
        uplinks = dict(self._uplinks())
        if not uplinks:
            return None
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + ASK_S
            for name, fd in uplinks.items():
                self._settle(name, has_link(fd))
        return self._due_s - now_s

    def _uplinks(self) -> Iterator[tuple[str, int]]:
        """The sockets of those that another one can stand in for."""
        teaming = self._switch.config["teaming"]
        for name in members_of(teaming) if teaming else []:
            config = self._switch.config_of(name)
            if config is not None and config["driver"] == "packet" and is_in_team(teaming, name):
                yield name, self._switch.driver(name).fds[0]

    def _settle(self, name: str, is_up: bool) -> None:
        if is_up != self._switch.config_of(name)["carrier"]:
            log.warning("uplink %s has %s link", name, "a" if is_up else "no")
            self._switch.port_set({"name": name, "carrier": is_up})
            self._tell({"event": "carrier", "port": name, "carrier": is_up}, [])


def has_link(fd: int) -> bool:
    """Whether the interface that a packet socket is bound to is up and has a link; without an interface it has none."""
    with socket.socket(fileno=os.dup(fd)) as borrowed:
        interface = borrowed.getsockname()[0]
        if not interface:
            return False
        try:
            flags = struct.unpack_from("16xH", fcntl.ioctl(borrowed, SIOCGIFFLAGS, struct.pack("16s24x", interface.encode())))[0]
        except OSError:                                # it has gone in this moment
            return False
    return bool(flags & IFF_RUNNING)
