"""`vswitch demo`: a DMZ on one host, brought up, shown, checked and taken down, with the commands a person would type.

Every step is a run of `vswitch` itself in a run directory of its own, so nothing here can do what a user could not, and
a running vswitchd of this host is not touched.
"""

from __future__ import annotations

import contextlib
import itertools
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

from vswitch.errors import ExpectationError, LabError

TOPOLOGY = Path("topologies/single-host-dmz.yaml")
NAME = "single-host-dmz"
WEB = ("busybox", "wget", "-qO-", "http://10.0.2.2/")
SSH = ("busybox", "nc", "-w", "2", "10.0.2.2", "22")
PING = ("ping", "-c", "1", "-W", "2")
TIMED_OUT, LOST = "timed out", "100% packet loss"
PATIENCE_S = 5.0
NETNS = Path("/run/netns")


@click.command("demo", short_help="Show a DMZ on one host with real frames, then take it down.")
@click.option("--guests", type=click.Choice(["namespaces", "qemu"]), default="namespaces", show_default=True,
              help="What plays the guests: network namespaces, or real QEMUs on TAP ports.")
def command(guests: str) -> None:
    """Bring up topologies/single-host-dmz.yaml as a lab, show what works and what must not, and take it down.

    Exit code 0 only if everything held.
    """
    if os.geteuid():
        raise LabError("the demo makes network namespaces, which only root may; try again with sudo")
    place = TOPOLOGY if TOPOLOGY.exists() else Path(__file__).parent / "templates" / TOPOLOGY.name
    if _namespaces():
        raise LabError(f"a lab of {NAME} is up already ({', '.join(_namespaces())}); end it: vswitch down {NAME}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))     # clean up then, too
    demo = Demo(tempfile.mkdtemp(prefix="vswitch-demo-"))
    try:
        demo.run(place, guests)
    except BrokenPipeError:            # `vswitch demo | head`: nobody looks any more, and the end still has to be done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
    finally:
        demo.clean_up()
    demo.report()


class Demo:
    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._began = time.monotonic()
        self._held: list[str] = []
        self._failed: list[str] = []
        self._is_up = False

    def run(self, file: Path, guests: str) -> None:
        self._title(f"A DMZ on one host: three switches, two adapters, four guests played by {guests}")
        click.echo(_drawing(file))
        self._is_up = True             # from the first attempt on: what half an `up` left must go as well
        if not self._vswitch(["up", str(file), "--lab" if guests == "namespaces" else "--lab=qemu"]):
            return
        self._title("Every port, and what has passed it so far")
        self._vswitch(["show", "ports"])
        self._title("The Internet asks vm2 for its page, and vm1's rules let it through")
        self._vswitch(["exec", "internet.client", "--", *WEB], shows="vm2 of")
        self._title("The same client tries another port of vm2, which vm1's rules do not open")
        self._vswitch(["exec", "internet.client", "--", *SSH], works=False, shows=TIMED_OUT)
        self._title("The company's desk tries the server vm3, which vm4's rules do not open")
        self._vswitch(["exec", "corporate.desk", "--", *PING, "10.0.2.3"], works=False, shows=LOST)
        self._title("The server vm2, broken into, looks for a way out")
        self._vswitch(["exec", "vm2", "--", *PING, "198.51.100.9"], works=False, shows=LOST)
        self._title("All that the file expects, with marked frames from every interface to every other")
        self._vswitch(["probe", str(file)], shows="expectations hold")
        self._title("What the switches dropped meanwhile, and why")
        self._vswitch(["show", "drops"])
        self._title("And away with it")
        self._take_down()

    def clean_up(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._is_up:
            self._take_down()
        _end_daemon(Path(self._run_dir, "vswitchd.pid"))
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def report(self) -> None:
        if left := _namespaces():
            self._failed.append(f"left behind: {', '.join(left)}")
        if self._failed:
            raise ExpectationError("The demo FAILED:\n" + "\n".join(f"  ✗ {what}" for what in self._failed))
        self._title(f"Everything held, and nothing is left of it ({time.monotonic() - self._began:.0f} s)")
        for what in self._held:
            click.echo(f"  ✓ {what}")

    def _take_down(self) -> None:
        self._is_up = False
        self._vswitch(["down", NAME])

    def _title(self, words: str) -> None:
        click.secho(f"\n== {words} ==", bold=True)
        self._doing = words

    def _vswitch(self, arguments: list[str], works: bool = True, shows: str = "") -> bool:
        """Run `vswitch ARGUMENTS`, show what it prints as it comes, and note whether it did what it must."""
        typed = shlex.join(["vswitch", *arguments])
        click.secho(f"$ {typed}", bold=True)
        printed = []
        with subprocess.Popen([sys.executable, "-m", "vswitch", *arguments], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "VSWITCH_RUN": self._run_dir}) as running:
            for line in running.stdout or ():
                click.echo(line, nl=False)
                printed.append(line)
        held = (running.returncode == 0) is works and shows in "".join(printed)
        if not held:
            wanted = f"{'works' if works else 'fails'}{f' and shows {shows!r}' if shows else ''}"
            self._failed.append(f"{self._doing}: `{typed}` ended with exit code {running.returncode}, "
                                f"and the demo holds only if it {wanted}")
        elif not works:
            click.echo(f"✓ It fails, as it must (exit code {running.returncode}).")
        if held and shows:
            self._held.append(f"{self._doing}: {'it works' if works else 'it fails'}, as it must")
        return held


def _drawing(file: Path) -> str:
    """The lines of the file's head that are drawn."""
    head = itertools.takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
    return "\n".join(line[1:] for line in head if "─" in line)


def _namespaces() -> list[str]:
    """What there is of the demo's lab, whoever made it."""
    return sorted(path.name for path in NETNS.glob(f"vswitch-{NAME}*"))


def _end_daemon(pid_file: Path) -> None:
    """End the vswitchd that the first command started in our run directory."""
    with contextlib.suppress(OSError, ValueError):
        pidfd = os.pidfd_open(int(pid_file.read_text()))
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not select.select([pidfd], [], [], PATIENCE_S)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
