"""How much of a data plane's addresses each guest that shares memory may use.

A file costs its owner nothing while it is empty, and us addresses: all guests of a switch share the 128 TiB of one process.  So
each is promised OCTETS_PROMISED, which is there whatever others do, and what one has beyond comes out of a common rest.

Threads: the main thread.
"""

from __future__ import annotations

from typing import Any

from dataplane.ports.vhost_user.protocol import RefusedError

OCTETS_PROMISED = 1 << 36          # 64 GiB for each of 1024 guests: half of the addresses
OCTETS_REST = 48 << 40             # for what they have beyond, all together
OCTETS_MAX = 1 << 40               # of one guest


class AddressSpace:
    """The addresses of this process, as its guests' memory uses them."""

    def __init__(self) -> None:
        self._beyond: dict[Any, int] = {}            # whose -> octets beyond what is promised

    def take(self, who: Any, octets: int) -> None:
        """Let `who` map so much in place of what it had; RefusedError when there is no room."""
        if octets > OCTETS_MAX:
            raise RefusedError(f"{octets >> 30} GiB of memory; a guest may share {OCTETS_MAX >> 30} GiB")
        beyond = max(0, octets - OCTETS_PROMISED)
        if beyond and sum(self._beyond.values()) - self._beyond.get(who, 0) + beyond > OCTETS_REST:
            raise RefusedError(f"{octets >> 30} GiB of memory; its switch has room for {OCTETS_PROMISED >> 30} GiB of each "
                               "guest, and others have used up what there is beyond that")
        self._beyond.pop(who, None)
        if beyond:
            self._beyond[who] = beyond

    def give_back(self, who: Any) -> None:
        self._beyond.pop(who, None)
