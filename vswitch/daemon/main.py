"""vswitchd: `python -m vswitch.daemon.main`.

One for each run directory.  With --on-demand it is the one that a command starts: it ends by itself when nothing is up
and nobody asks.  Its end, planned or not, leaves the data planes running.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import grp
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from vswitch import host
from vswitch.daemon.api import make_app
from vswitch.daemon.audit import PeerProtocol
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.errors import DaemonError, VswitchError

log = logging.getLogger("vswitchd")
GROUP = "vswitch"                  # its members may use the API; without such a group only root may
LOOK_S = 1.0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="vswitchd", description="The daemon behind `vswitch`.")
    parser.add_argument("--run-dir", type=Path, default=Path(os.environ.get("VSWITCH_RUN") or "/run/vswitch"))
    parser.add_argument("--on-demand", action="store_true", help="end when nothing is up and nobody asks")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    places = Places(options.run_dir.absolute())
    # A descriptor of every port, here and in the data planes; a shell's limit is 1024.
    _, descriptors_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors_max, descriptors_max))
    try:
        places.make()
        with _only_one(places):
            asyncio.run(_serve(places, options.on_demand))
    except (VswitchError, OSError) as error:
        log.error("%s", error)
        sys.exit(error.exit_code if isinstance(error, VswitchError) else 1)


class Server(uvicorn.Server):
    """Sleeps until it is to end; uvicorn's own loop looks ten times a second, which is most of what an idle vswitchd did."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop = asyncio.get_running_loop()
        self._ends = asyncio.Event()

    def end(self) -> None:
        """Also from a signal's handler: the loop notices even while it sleeps."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._ends.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.end()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._ends.wait()


async def _serve(places: Places, is_on_demand: bool) -> None:
    # uvicorn ends its loop at these and then raises them once more, for us; we end in our own way.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    daemon = Daemon(places, host)
    daemon.begin()
    config = uvicorn.Config(make_app(daemon), http=PeerProtocol, log_config=None, log_level="warning", access_log=False,
                            lifespan="off", date_header=False)
    server = Server(config)
    door = listener(places)
    watch = asyncio.create_task(_end_when_idle(daemon, server)) if is_on_demand else None
    log.info("ready at %s", places.socket)
    try:
        await server.serve(sockets=[door])
    finally:
        if watch is not None:
            watch.cancel()
        places.socket.unlink(missing_ok=True)
        daemon.end()


async def _end_when_idle(daemon: Daemon, server: Server) -> None:
    while not daemon.is_idle:
        await asyncio.sleep(LOOK_S)
    log.info("nothing is up and nobody asks: the end")
    server.end()


@contextlib.contextmanager
def _only_one(places: Places) -> Iterator[None]:
    """Hold the pid file's lock; the file says who we are until the end."""
    with places.pid_file.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise DaemonError(f"a vswitchd serves {places.run_dir} already: pid {stream.read().strip()}") from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def listener(places: Places) -> socket.socket:
    """The API's socket; uvicorn's own would be open to everybody for a moment."""
    places.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(places.socket))
    finally:
        os.umask(before)
    with contextlib.suppress(KeyError):
        os.chown(places.socket, -1, grp.getgrnam(GROUP).gr_gid)
    places.socket.chmod(0o660)
    return listener


if __name__ == "__main__":
    main()
