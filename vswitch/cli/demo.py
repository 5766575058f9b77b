"""`vswitch demo`: a DMZ on one host, brought up, shown, checked and taken down, with the commands a person would type.

Every step is a run of `vswitch` itself in a run directory of its own, so nothing here can do what a user could not, and
a running vswitchd of this host is not touched.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rich_click as click

from vswitch.cli._output import say
from vswitch.errors import ExpectationError, LabError, UsageError

TOPOLOGY = Path("topologies/single-host-dmz.yaml")
NAME = "single-host-dmz"
WEB = ("busybox", "wget", "-qO-", "http://10.0.2.2/")
SSH = ("busybox", "timeout", "3", "busybox", "nc", "10.0.2.2", "22")
PING = ("ping", "-c", "1", "-W", "2")
LOST = "100% packet loss"
PATIENCE_S = 5.0


@click.command("demo", short_help="Show a DMZ on one host with real frames, then take it down.")
@click.option("--guests", type=click.Choice(["namespaces", "qemu"]), default="namespaces", show_default=True,
              help="What plays the guests: network namespaces, or real QEMUs on TAP ports.")
def command(guests: str) -> None:
    """Bring up topologies/single-host-dmz.yaml as a lab, show what works and what must not, and take it down.

    Exit code 0 only if everything held.
    """
    if os.geteuid():
        raise LabError("the demo makes network namespaces, which only root may; try again with sudo")
    place = TOPOLOGY if TOPOLOGY.exists() else Path(__file__).parents[2] / TOPOLOGY
    if not place.exists():
        raise UsageError(f"{TOPOLOGY} is not here; run the demo in the project's directory")
    demo = Demo(tempfile.mkdtemp(prefix="vswitch-demo-"))
    try:
        demo.run(str(place), guests)
    finally:
        demo.clean_up()
    demo.report()


class Demo:
    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._is_up = False

    def run(self, file: str, guests: str) -> None:
        self._say(f"A host with three switches and four guests, played by {guests}.")
        self._is_up = True             # from the first attempt on: what half an `up` left must go as well
        if not self._vswitch(["up", file, "--lab" if guests == "namespaces" else "--lab=qemu"]):
            return
        self._say("Every port, and what passed it:")
        self._vswitch(["show", "ports"])
        self._say("The Internet asks vm2 for its page; the way is vswitch1, the firewall vm1, vswitch2:")
        self._vswitch(["exec", "internet.client", "--", *WEB], shows="vm2 of")
        self._say("The same machine, another port: vm1's rules refuse, so this must fail:")
        self._vswitch(["exec", "internet.client", "--", *SSH], works=False)
        self._say("From inside the company to the server vm3: vm4's rules refuse, so this must fail:")
        self._vswitch(["exec", "corporate.desk", "--", *PING, "10.0.2.3"], works=False, shows=LOST)
        self._say("A server that was broken into looks for a way out, and there is none, so this must fail:")
        self._vswitch(["exec", "vm2", "--", *PING, "198.51.100.9"], works=False, shows=LOST)
        self._say("Everything that the file expects, with marked frames from every interface to every other:")
        self._vswitch(["probe", file])
        self._say("What the switches dropped, and why:")
        self._vswitch(["show", "drops"])
        self._say("And away with it:")
        self._take_down()

    def clean_up(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._is_up:
            self._take_down()
        _end_daemon(Path(self._run_dir, "vswitchd.pid"))
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def report(self) -> None:
        left = [path.name for path in Path("/run/netns").glob(f"vswitch-{NAME}*")]
        if left:
            self._failed.append(f"left behind: {', '.join(left)}")
        if self._failed:
            raise ExpectationError("The demo FAILED:\n" + "\n".join(f"  ✗ {what}" for what in self._failed))
        self._say(f"✓ Everything held, in {time.monotonic() - self._began:.0f} s.")

    def _take_down(self) -> None:
        self._is_up = False
        self._vswitch(["down", NAME])

    def _say(self, words: str) -> None:
        say(f"\n{words}")

    def _vswitch(self, arguments: list[str], works: bool = True, shows: str = "") -> bool:
        """Run `vswitch ARGUMENTS`, show it with its output, and note whether it did what it must."""
        typed = shlex.join(["vswitch", *arguments])
        say(f"$ {typed}")
        done = subprocess.run([sys.executable, "-m", "vswitch", *arguments], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, env={**os.environ, "VSWITCH_RUN": self._run_dir}, check=False)
        click.echo(done.stdout, nl=False)
        held = (done.returncode == 0) is works and shows in done.stdout
        if not works:
            say(f"({'refused, as it must be' if held else 'THIS GOT THROUGH'}: exit code {done.returncode})")
        if not held:
            self._failed.append(f"{typed}: exit code {done.returncode}")
        return held


def _end_daemon(pid_file: Path) -> None:
    """End the vswitchd that the first command started in our run directory."""
    with contextlib.suppress(OSError, ValueError):
        pidfd = os.pidfd_open(int(pid_file.read_text()))
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not select.select([pidfd], [], [], PATIENCE_S)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
