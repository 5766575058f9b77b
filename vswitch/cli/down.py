"""`vswitch down`: remove what vswitch made for a topology, and nothing else."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._daemon import print_steps, unplug_option
from vswitch.cli._named import client, find_file, is_file, name_of, names_up, topology_argument, unknown_topology
from vswitch.cli._output import output_option
from vswitch.cli._run_dir import run_dir
from vswitch.lab import Lab, labs


@click.command("down", short_help="Remove what belongs to a topology.")
@topology_argument
@unplug_option
@output_option
def command(topology: str | None, force: bool, output: str) -> None:
    """Take a topology down: its ports, its switches, the TAPs that we made; adapters are given back as they were.

    A TAP that a running guest holds is refused; `--force` unplugs it first.  Works when no vswitchd runs.
    """
    name = name_of(topology if topology is not None else find_file(None))
    lab = Lab.load(name, run_dir()) if name in labs(run_dir()) else None
    if lab is not None:
        lab.stop()
    daemon = client()
    daemon.ensure_daemon()
    was_up = lab is not None or name in names_up()
    answer = daemon.down(name, force)
    if lab is not None:
        lab.remove()
    if not (answer["steps"] or was_up or topology is None or is_file(topology)):
        raise unknown_topology(name)   # a name that is misspelt; what a file says may be down already
    print_steps(answer, output, f"{name} is not up; nothing to remove")
