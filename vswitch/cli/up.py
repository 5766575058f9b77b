"""`vswitch up`: make a topology so.  Running it again changes only what differs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rich_click as click

from vswitch.cli._daemon import LabCommand, asker, force_option, lab_option, print_steps, take_over_option
from vswitch.cli._named import client, find_file, topology_argument
from vswitch.cli._output import output_option, say
from vswitch.cli._run_dir import run_dir
from vswitch.daemon.client import CONFIRM_S, Client
from vswitch.errors import UsageError, VswitchError
from vswitch.lab import Lab, labs
from vswitch.topology import Topology, loads, text_of
from vswitch.topology.advice import advice
from vswitch.topology.model import LabMode

FEW = 8                            # ports that are named one by one


@click.command("up", cls=LabCommand, short_help="Make a topology so.")
@topology_argument
@lab_option
@force_option
@take_over_option
@click.option("--confirm", "confirm_s", type=click.FloatRange(0, 86400, min_open=True), metavar="SECONDS",
              help="Take it back unless `vswitch confirm` comes within SECONDS; 60 with --take-over.")
@output_option
def command(topology: str | None, lab: LabMode | None, force: bool, take_over: bool, confirm_s: float | None,
            output: str) -> None:
    """Bring FILE up: its switches, its ports and the TAPs that guests plug into.  Nothing else is touched.

    What is up already stays as it is; a failure half way is undone.  Starts vswitchd when none runs.
    """
    path = find_file(topology)
    text = text_of(path)
    declared = loads(text, path, Path(path).parent)          # mistakes are found here, before anything is asked or changed
    for sentence in advice(declared):
        say(f"note: {sentence}")
    daemon = client()
    daemon.ensure_daemon()
    if lab is not None and (take_over or confirm_s):
        raise UsageError("a lab has no adapters of the host and needs no confirmation; leave --take-over and --confirm out")
    if lab is None:
        answer = daemon.up(text, os.path.realpath(path), force=force, owner=asker(), take_over=take_over,
                           confirm_s=confirm_s)
    else:
        answer = _up_lab(daemon, declared, text, lab, force)
    print_steps(answer, output, f"{declared.name} is up already; nothing changes")
    if answer["steps"] and (take_over or confirm_s):
        say(f"Undone in {confirm_s or CONFIRM_S:g} s unless you run: vswitch confirm {declared.name}")
    if lab is None:
        for sentence in _what_waits(daemon, declared.name, path):
            say(sentence)


def _what_waits(daemon: Client, name: str, path: str) -> Iterator[str]:
    """What a person has to do now: plug in the guests of ports that wait, and look at what others have done to interfaces."""
    waiting = [row["name"] for row in daemon.ports(name) if row["guest"] and row["state"] == "no-carrier"]
    if waiting:
        shown = ", ".join(waiting[:FEW]) + (f" and {len(waiting) - FEW} more" if len(waiting) > FEW else "")
        yield f"Ports that wait for their guests: {shown}. The text to paste: vswitch qemu GUEST -f {path}"
    for row in daemon.foreign():
        if row.get("topology") == name:
            yield f"note: {row['interface']}: {row['why']}"


def _up_lab(daemon: Client, topology: Topology, text: str, mode: LabMode, force: bool) -> dict[str, Any]:
    """The box, the switches in it, the guests; a lab that did not exist before is gone again after a failure."""
    is_new = topology.name not in labs(run_dir())
    was_up = any(row["name"] == topology.name for row in daemon.topologies())
    lab = Lab(topology, mode, run_dir())
    file = os.path.realpath(topology.file)
    if was_up:                         # what is refused is refused before anything of the lab changes
        daemon.plan(text, file, lab.namespace, mode, force, asker())
    try:
        lab.prepare()
        answer = daemon.up(text, file, lab.namespace, mode, force, asker())
        lab.start()
    except BaseException:              # ^C as well: half a lab is of no use to anybody
        if is_new:
            _undo(daemon, lab, "" if was_up else topology.name)
        raise
    return answer


def _undo(daemon: Client, lab: Lab, ours: str) -> None:
    """In reverse; what cannot be undone is said, and the rest goes on.

    `ours` is the topology, if it is up because of us: one that is up on the host itself refuses a lab, and stays.
    """
    for undo in (lab.stop, lambda: daemon.down(ours) if ours else None, lab.remove):
        try:
            undo()
        except VswitchError as error:
            say(f"while undoing: {error}")
