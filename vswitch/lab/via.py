"""Opens and closes the guests that traffic has to pass, to see whether it does, and puts them back as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from vswitch.errors import LabError
from vswitch.lab.lab import Lab
from vswitch.topology.model import Topology

FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


class Gate:
    def __init__(self, lab: Lab, topology: Topology) -> None:
        self._lab = lab
        self._topology = topology

    @contextlib.contextmanager
    def opened(self, guests: Iterable[str]) -> Iterator[None]:
        """Without their firewall rules."""
        kept = {guest: self._run(guest, ["nft", "list", "ruleset"]) for guest in guests}
        try:
            for guest in kept:
                self._run(guest, ["nft", "flush", "ruleset"])
            yield
        finally:
            for guest, rules in kept.items():
                self._run(guest, ["nft", "-f", "-"], rules)

    @contextlib.contextmanager
    def closed(self, guests: Iterable[str]) -> Iterator[None]:
        """Without forwarding: as routers they are gone, on their own networks they are as before."""
        closed = list(guests)
        try:
            for guest in closed:
                self._forward(guest, False)
            yield
        finally:
            for guest in closed:
                self._forward(guest, True)

    def _forward(self, guest: str, on: bool) -> None:
        if self._topology.guests[guest].role == "bridge":
            self._run(guest, ["ip", "link", "set", "bridge0", "up" if on else "down"])
        else:
            script = "".join(f"echo {int(on)} >/proc/sys/{name.replace('.', '/')};" for name in FORWARDING)
            self._run(guest, ["sh", "-c", script])

    def _run(self, guest: str, argv: list[str], stdin: bytes = b"") -> bytes:
        code, stdout, stderr = self._lab.exec(guest, argv, stdin)
        if code:
            raise LabError(f"`{' '.join(argv)}` failed in {guest}: {stderr.decode(errors='replace').strip()}")
        return stdout
