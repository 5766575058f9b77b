"""A QEMU that a user has started, on a TAP or a socket of the user's choice; neither a lab nor vswitchd knows of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.support.boxed import Box
from vswitch.lab.console import ConsoleMachine
from vswitch.lab.job import finish
from vswitch.lab.qemu_machine import console_path, start_guest, wait_for_guests
from vswitch.lab.record import MachineRecord, Record
from vswitch.topology import loads

TOPOLOGY = """\
schema: vswitch/v1
name: own
switches: {s: {}}
guests: {GUEST: {switch: s, PLUG, addresses: [ADDRESS]}}
"""


class OwnQemu:
    """`plug` is its side of the cable, as a nic of a topology says it: `tap: NAME`, or a socket that it connects to."""

    def __init__(self, box: Box, guest: str, plug: str, address: str) -> None:
        self._guest = guest
        self._topology = loads(TOPOLOGY.replace("GUEST", guest).replace("PLUG", plug).replace("ADDRESS", address), "own.yaml")
        self._record = Record(f"own-{guest}", "qemu", str(box.run_dir), box.namespace)
        folder = self._record.folder / guest
        self._machine = self._record.machines[guest] = MachineRecord(guest, "qemu", box.namespace, str(folder))

    def start(self) -> None:
        start_guest(self._topology, self._topology.guests[self._guest], self._record)

    def wait(self) -> None:
        wait_for_guests(self._record, [self._guest])

    @property
    def pid(self) -> int:
        return self._record.processes[0].pid

    def does(self, *argv: str) -> bool:
        return self._run(*argv)[0] == 0

    def reads(self, path: str) -> str:
        """What a file of the guest says."""
        return self._run("cat", path)[1].decode().strip()

    def _run(self, *argv: str) -> tuple[int, bytes, bytes]:
        machine = ConsoleMachine(self._guest, console_path(self._machine))
        return finish(machine.start(list(argv)), 60)

    def pings(self, address: str) -> bool:
        return self.does("ping", "-c", "1", "-W", "3", address)

    def spins(self) -> bool:
        """Whether QEMU's main loop finds something to do each time it looks: it is runnable whenever we look.

        An idle one sleeps in poll(2) nearly always; how busy the machine is makes no difference to either.
        """
        def state() -> str:
            with open(f"/proc/{self.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0]
        seen = []
        for _ in range(50):
            time.sleep(0.02)
            seen.append(state())
        return seen.count("S") < 10

    def end(self) -> None:
        self._record.end_processes()
        self._record.forget()


@contextlib.contextmanager
def own_qemus(*guests: OwnQemu) -> Iterator[None]:
    """They boot side by side."""
    try:
        for guest in guests:
            guest.start()
        for guest in guests:
            guest.wait()
        yield
    finally:
        for guest in guests:
            guest.end()
