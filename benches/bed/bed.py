"""Where a bench happens: namespaces, interfaces and processes of its own, all gone afterwards, also after ^C.

A run that was killed leaves namespaces behind whose names hold its process number; the next run removes them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vswitch.host import taps
from vswitch.host.namespaces import NETNS, inside

PREFIX = "vsbench"
PATIENCE_S = 5.0
Result = TypeVar("Result")
_numbers = itertools.count()


class Bed:
    """`close` ends processes and removes namespaces, newest first."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="vsb-"))      # short: sockets have 107 octets for their path
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def close(self) -> None:
        self._stack.close()

    def callback(self, function: Callable[[], object]) -> None:
        """Something of a peer's own to be undone."""
        self._stack.callback(function)

    def namespace(self, word: str) -> str:
        """A new namespace without IPv6: a host that greets its neighbours would be counted as traffic."""
        name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}-{word}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        run(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        ip(name, "link set lo up")
        return name

    def process(self, namespace: str, *argv: str, fds: Sequence[int] = (), **variables: str) -> subprocess.Popen[bytes]:
        """Start a program inside a namespace ("": ours); it is ended with the bed.  Its standard input stays open and silent."""
        inside_it = ["ip", "netns", "exec", namespace] if namespace else []
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([*inside_it, *argv], stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=fds,
                                       start_new_session=True, env={**os.environ, **variables})
        self._stack.callback(end, process)
        return process

    def guest(self, namespace: str, tap: str) -> int:
        """The character side of a TAP, as QEMU opens it: with a vnet header, without blocking."""
        fd = inside(namespace, lambda: taps.open_queue(tap, makes=False))
        self._stack.callback(os.close, fd)
        return fd


def end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(namespace: str, *argv: str) -> str:
    """Run a program inside a namespace to its end; its stdout."""
    done = subprocess.run(["ip", "netns", "exec", namespace, *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ip(namespace: str, *lines: str) -> None:
    """Lines of ip(8) inside a namespace."""
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), text=True, check=True, capture_output=True)


def wait_for(condition: Callable[[], Result], what: str, seconds: float = 10.0) -> Result:
    """What `condition` returns as soon as it is true."""
    waiting = select.poll()
    for _ in range(int(seconds * 50)):
        if result := condition():
            return result
        waiting.poll(20)
    raise RuntimeError(f"still not so after {seconds} s: {what}")


@contextlib.contextmanager
def bed() -> Iterator[Bed]:
    one = Bed()
    try:
        yield one
    finally:
        one.close()


def remove_leftovers() -> None:
    """Remove the namespaces of runs that were killed; what holds them has died with them or is ended here."""
    for path in NETNS.glob(f"{PREFIX}-*"):
        found = re.match(rf"{PREFIX}-(\d+)-", path.name)
        if found and not Path("/proc", found[1]).exists():
            held = subprocess.run(["ip", "netns", "pids", path.name], capture_output=True, text=True, check=False)
            for pid in held.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", path.name], check=False)
