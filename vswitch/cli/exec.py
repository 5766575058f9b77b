"""`vswitch exec NAME -- COMMAND`: run a command in a guest or station of a lab, with its output and exit code."""

from __future__ import annotations

import sys

import rich_click as click

from vswitch.cli._named import name_of
from vswitch.cli._run_dir import run_dir
from vswitch.errors import LabError, UsageError
from vswitch.lab import Lab, labs
from vswitch.topology.mistakes import did_you_mean


@click.command("exec", short_help="Run a command in a lab guest or station.",
               context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-t", "--topology", metavar="NAME|FILE", help="The lab, when several have a machine of this name.")
@click.argument("name")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def command(topology: str | None, name: str, words: tuple[str, ...]) -> None:
    """Run COMMAND in NAME: a guest, a station (`network.station`), or `host`, which stands for the host itself.

    Output, input and exit code are the command's own.
    """
    argv = list(words[1:] if words[0] == "--" else words)
    if not argv:
        raise UsageError("no command to run: `vswitch exec NAME -- COMMAND`")
    sys.exit(_lab_with(name, topology).machine(name).attach(argv))


def _lab_with(name: str, topology: str | None) -> Lab:
    """The lab that is named, else the only one that has a machine `name`."""
    if topology:
        return Lab.load(name_of(topology), run_dir())
    running = [Lab.load(lab, run_dir()) for lab in labs(run_dir())]
    if not running:
        raise LabError("no lab is up; start one with `vswitch up FILE --lab`")
    found = [lab for lab in running if name in lab.record.machines]
    if len(found) > 1:
        names = ", ".join(lab.record.topology for lab in found)
        raise UsageError(f"several labs have `{name}` ({names}); say which with --topology")
    if not found and len(running) > 1:
        names = ", ".join(lab.record.topology for lab in running)
        known = [machine for lab in running for machine in lab.record.machines]
        raise UsageError(f"no lab has `{name}` (up are {names}); {did_you_mean(name, known)}")
    return found[0] if found else running[0]       # the one that lacks it says what it has
