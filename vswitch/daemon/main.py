"""vswitchd: `python -m vswitch.daemon.main`.

One for each run directory.  With --on-demand it is the one that a command starts: it ends by itself when nothing is up
and nobody asks.  Its end, planned or not, leaves the data planes running.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

import uvicorn

from dataplane.logs import BoundedHandler
from vswitch import host
from vswitch.daemon.api import make_app
from vswitch.daemon.audit import PeerProtocol
from vswitch.daemon.daemon import Daemon
from vswitch.daemon.places import Places
from vswitch.daemon.presence import Presence
from vswitch.errors import VswitchError
from vswitch.run_dir import run_dir

log = logging.getLogger("vswitchd")
LOOK_S = 1.0
LOG_MAX = 8 << 20                  # octets of our own log, which lies in memory where /run does


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="vswitchd", description="The daemon behind `vswitch`.")
    parser.add_argument("--run-dir", type=Path, default=Path(run_dir()))
    parser.add_argument("--on-demand", action="store_true", help="end when nothing is up and nobody asks")
    options = parser.parse_args(arguments)
    logging.basicConfig(handlers=[BoundedHandler(LOG_MAX)], level=logging.INFO,
                        format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    places = Places(options.run_dir.absolute())
    os.environ["VSWITCH_RUN"] = str(places.run_dir)  # where the sockets of guests are, also for the data planes' successors
    # A descriptor of every port, here and in the data planes; a shell's limit is 1024.
    _, descriptors_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors_max, descriptors_max))
    try:
        presence = Presence(places)
        presence.claim()
        try:
            asyncio.run(_serve(places, presence, options.on_demand))
        finally:
            presence.leave()
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


async def _serve(places: Places, presence: Presence, is_on_demand: bool) -> None:
    """Nothing that may wait (files, netlink, locks, data planes) is done on the loop's thread: all of it goes `aside`."""
    told = asyncio.Event()             # to end, while there is no server yet that could be told
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    beginning = asyncio.create_task(aside(lambda: _begin(places, presence)))
    ending = asyncio.create_task(told.wait())
    await asyncio.wait((beginning, ending), return_when=asyncio.FIRST_COMPLETED)
    if not beginning.done():
        log.warning("told to end before everything was adopted; the data planes go on")
        return
    ending.cancel()
    daemon, config, door = beginning.result()
    server = Server(config)
    if told.is_set():
        server.end()
    watch = asyncio.create_task(_end_in_time(daemon, presence, server, is_on_demand))
    log.info("ready at %s", places.socket)
    try:
        await server.serve(sockets=[door])
    finally:
        watch.cancel()
        await aside(daemon.end)


def _begin(places: Places, presence: Presence) -> tuple[Daemon, uvicorn.Config, socket.socket]:
    """Adopt what runs and bring back what should; who asks meanwhile waits at the socket."""
    door = presence.listen()
    daemon = Daemon(places, host)
    daemon.begin()
    config = uvicorn.Config(make_app(daemon), http=PeerProtocol, log_config=None, log_level="warning", access_log=False,
                            lifespan="off", date_header=False)
    config.load()
    return daemon, config, door


async def _end_in_time(daemon: Daemon, presence: Presence, server: Server, is_on_demand: bool) -> None:
    """End a vswitchd that no command can reach, and one that a command started and that has nothing to do any more."""
    while True:
        if await aside(lambda: presence.is_over):
            log.warning("our directory or our socket is gone or another's: no command finds us, so this is the end")
            break
        if is_on_demand and daemon.is_quiet and await aside(lambda: daemon.is_idle):
            log.info("nothing is up and nobody asks: the end")
            break
        await asyncio.sleep(LOOK_S)
    server.end()


Result = TypeVar("Result")


async def aside(work: Callable[[], Result]) -> Result:
    """What `work` returns, from a thread of its own: one that hangs holds up neither the loop nor our end."""
    done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)    # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:            # carried to who waits
            error = caught
        with contextlib.suppress(RuntimeError):    # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await done


if __name__ == "__main__":
    main()
