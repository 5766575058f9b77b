"""`vswitch plan`: what `up` would do, why, and what each step interrupts; changes nothing."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vswitch.cli._daemon import LabCommand, asker, client, force_option, lab_option
from vswitch.cli._file import file_argument, find_file
from vswitch.cli._output import output_option, print_json, print_table
from vswitch.cli._run_dir import run_dir
from vswitch.lab import Lab
from vswitch.topology import load
from vswitch.topology.model import LabMode


@click.command("plan", cls=LabCommand, short_help="Show what `up` would do.")
@file_argument
@lab_option
@force_option
@output_option
def command(file: str | None, lab: LabMode | None, force: bool, output: str) -> None:
    """Compare FILE with what runs and show the steps that `up` would take."""
    path = find_file(file)
    topology = load(path)
    namespace = Lab(topology, lab, run_dir()).namespace if lab else ""
    daemon = client()
    daemon.ensure_daemon()
    steps = daemon.plan(Path(path).read_text(), str(Path(path).absolute()), namespace, lab, force, asker())
    if output == "json":
        print_json(steps)
    elif steps:
        print_table("", ["step", "interrupts", "why"],
                    [[step["text"], step["interrupts"], step["why"]] for step in steps])
    else:
        click.echo(f"{topology.name} is up as written; nothing to do")
