"""Options of the commands that change something, and what they print of the steps that vswitchd did."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Any

import rich_click as click

from vswitch.cli._output import print_json

LAB_MODES = ("namespaces", "qemu")


class LabCommand(click.RichCommand):
    """A command whose `--lab` may stand alone, for namespaces, also before the file: `up --lab dmz.yaml`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, ["--lab=namespaces" if word == "--lab" else word for word in args])


lab_option: Callable[[Any], Any] = click.option(
    "--lab", type=click.Choice(LAB_MODES), metavar="[=namespaces|qemu]",
    help="Play guests and physical networks on this host, in a box.")
force_option: Callable[[Any], Any] = click.option(
    "--force", is_flag=True, help="Do what is refused otherwise: take an adapter that carries a host address, "
                                  "unplug guests that are running.")
take_over_option: Callable[[Any], Any] = click.option(
    "--take-over", is_flag=True, help="Take adapters that carry host addresses; the addresses and their routes move to a host "
                                      "port. `up` then needs a confirmation, see its --confirm.")
unplug_option: Callable[[Any], Any] = click.option("--force", is_flag=True, help="Unplug guests that are running.")


def asker() -> str:
    """Who asks: the owner of TAPs for which the topology names none."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def print_steps(answer: dict[str, Any], output: str, nothing: str) -> None:
    """Steps as lines, or the whole answer as JSON; the words of `nothing` when there are none."""
    if output == "json":
        print_json(answer)
        return
    for step in answer["steps"]:
        click.echo(step["text"])
    if not answer["steps"]:
        click.echo(nothing)
