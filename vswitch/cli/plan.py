"""`vswitch plan`: what `up` would do, why, and what each step interrupts; changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from vswitch.cli._daemon import LabCommand, asker, force_option, lab_option, take_over_option
from vswitch.cli._named import client, find_file, topology_argument
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.cli._run_dir import run_dir
from vswitch.lab import Lab
from vswitch.topology import loads, text_of
from vswitch.topology.model import LabMode


@click.command("plan", cls=LabCommand, short_help="Show what `up` would do.")
@topology_argument
@lab_option
@force_option
@take_over_option
@output_option
def command(topology: str | None, lab: LabMode | None, force: bool, take_over: bool, output: str) -> None:
    """Compare FILE with what runs and show the steps that `up` would take."""
    path = find_file(topology)
    text = text_of(path)
    declared = loads(text, path, Path(path).parent)
    namespace = Lab(declared, lab, run_dir()).namespace if lab else ""
    daemon = client()
    daemon.ensure_daemon()
    steps = daemon.plan(text, os.path.realpath(path), namespace, lab, force, asker(),
                        take_over)
    if output == "json":
        print_json(steps)
    elif steps:
        print_table("", ["step", "interrupts", "why"],
                    [[step["text"], step["interrupts"], step["why"]] for step in steps], folding=("step", "why"))
    else:
        click.echo(f"{declared.name} is up as written; nothing to do")
