"""`up`, `plan`, `show`, `config` and `down` take time in proportion to the ports, for TAPs and for shared memory.

The commands as a user types them, for 10 to 1000 guests on one switch.  `up` has ended when a frame passes from the first
port to the last one, which is tried for TAPs.  The slope from 500 to 1000 guests is held against the one from 20 to 200.
"""

from __future__ import annotations

import os
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benches.bed.bed import Bed, bed
from benches.bed.frames import address, frame
from benches.frame.records import ROOT
from benches.frame.run import Run
from vswitch.daemon.client import Client
from vswitch.host import taps
from vswitch.host.namespaces import inside

SIZES = (10, 20, 100, 200, 500, 1000)
SLOPES, ROUNDS = (20, 200, 500, 1000), 3
SLOPE_MAX = 1.5
SHIP_S = {("tap", "up", 500): 8.0, ("tap", "down", 500): 8.0}
FRAME_S = 5.0


def ask(run: Run) -> None:
    for attach in ("tap", "vhost_user"):
        spent: dict[str, dict[int, float]] = {}
        for n in SIZES:
            rounds = [_round(run, attach, n, switches=1) for _ in range(ROUNDS if n in SLOPES else 1)]
            for word in rounds[0]:
                seconds, cpu_s = ([found[word][at] for found in rounds] for at in (0, 1))
                spent.setdefault(word, {})[n] = statistics.median(cpu_s)
                case = f"scale: {n:4} {attach} guests, {word}"
                run.record(case, f"seconds of `{word}`", "s", "lower", seconds, ship=SHIP_S.get((attach, word, n)))
                run.record(f"{case}: CPU", f"CPU seconds of `{word}`", "s", "lower", cpu_s)
        for word in ("up", "down"):
            small, less, more, large = (spent[word][n] for n in SLOPES)
            near, far = (less - small) / (SLOPES[1] - SLOPES[0]), (large - more) / (SLOPES[3] - SLOPES[2])
            run.record(f"scale: {attach} {word}, slope 500-1000 over 20-200", "ratio of CPU seconds a guest", "ratio", "lower",
                       [far / near], ship=SLOPE_MAX)
    for word, (seconds, _) in _round(run, "vhost_user", 2000, switches=4).items():
        run.record(f"scale: 2000 vhost_user guests, 4 switches, {word}", f"seconds of `{word}`", "s", "lower", [seconds],
                   ship=20.0 if word == "up" else None)


def topology(attach: str, n: int, switches: int) -> str:
    names = ", ".join(f"s{i}: {{}}" for i in range(switches))
    lines = [f"  g{i}: {{switch: s{i % switches}, attach: {attach}, mac: '{address(i + 1).hex(':')}'}}" for i in range(n)]
    return "\n".join(["schema: vswitch/v1", "name: scale", f"switches: {{{names}}}", "guests:", *lines, ""])


def _round(run: Run, attach: str, n: int, switches: int) -> dict[str, tuple[float, float]]:
    """Seconds of each command, and of processors in it, vswitchd and the data planes; all of them of this round alone."""
    with bed() as place:
        file = place.folder / "scale.yaml"
        file.write_text(topology(attach, n, switches))
        host = place.namespace("scale")
        client = Client(place.folder / "run")
        took: dict[str, tuple[float, float]] = {}
        _command(place, host, "plan", file)                    # starts vswitchd, which is not what is asked
        place.callback(lambda: _end(client, place))
        for word in ("plan", "up", "show", "config", "down"):
            began, spent = time.monotonic(), _cpu_s(client, place)
            _command(place, host, word, file)
            if word == "up" and attach == "tap":
                _first_frame(host, n)
            took[word] = time.monotonic() - began, _cpu_s(client, place) - spent
        run.say(f"{n} {attach}: " + ", ".join(f"{word} {seconds:.2f} s ({cpu_s:.2f} s of processors)"
                                              for word, (seconds, cpu_s) in took.items()))
        return took


def _cpu_s(client: Client, place: Bed) -> float:
    """Of the commands that have ended, and of vswitchd and the data planes, threads and processes that have ended included."""
    of_commands = os.times()
    vswitchd = int((place.folder / "run" / "vswitchd.pid").read_text())
    ticks = sum(_ticks(vswitchd)) + sum(sum(_ticks(row["pid"])[:2]) for row in client.switches())
    return of_commands.children_user + of_commands.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> list[int]:
    """utime, stime, cutime and cstime of a process, proc_pid_stat(5)."""
    return [int(word) for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]]


def _command(place: Bed, host: str, word: str, file: Path) -> None:
    words = {"show": ["show", "ports"]}.get(word, [word, os.fspath(file)])
    done = subprocess.run(["ip", "netns", "exec", host, sys.executable, "-m", "vswitch", *words], capture_output=True, text=True,
                          check=False, cwd=ROOT, env={**os.environ, "VSWITCH_RUN": os.fspath(place.folder / "run")})
    if done.returncode:
        raise RuntimeError(f"vswitch {' '.join(words)}: {done.stderr.strip()}")


def _first_frame(host: str, n: int) -> None:
    """Wait until a frame of the first guest has reached the last one; then both leave, so that `down` may."""
    first, last = (inside(host, lambda tap=tap: taps.open_queue(tap, makes=False)) for tap in ("g0-eth0", f"g{n - 1}-eth0"))
    try:
        said = frame(address(n), address(1))
        until = time.monotonic() + FRAME_S
        while time.monotonic() < until:
            os.write(first, bytes(10) + said)
            while select.select([last], [], [], 0.01)[0]:
                if said in os.read(last, 1 << 16):
                    return
        raise RuntimeError("no frame has reached the last port")
    finally:
        os.close(first)
        os.close(last)


def _end(client: Client, place: Bed) -> None:
    client.down("scale", force=True)
    os.kill(int((place.folder / "run" / "vswitchd.pid").read_text()), signal.SIGTERM)
