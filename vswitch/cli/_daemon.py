"""How commands reach vswitchd, and what they print of the steps it did."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from vswitch.cli._output import print_json
from vswitch.cli._run_dir import run_dir
from vswitch.daemon.client import Client
from vswitch.errors import UsageError
from vswitch.topology import load

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
unplug_option: Callable[[Any], Any] = click.option("--force", is_flag=True, help="Unplug guests that are running.")
topology_option: Callable[[Any], Any] = click.option("-t", "--topology", help="Only what belongs to this topology.")


def asker() -> str:
    """Who asks: the owner of TAPs for which the topology names none."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def client() -> Client:
    return Client(run_dir())


def name_of(word: str) -> str:
    """The topology that `word` means: its name, or its file."""
    if Path(word).suffix in (".yaml", ".yml") or "/" in word:
        if not Path(word).exists():
            raise UsageError(f"{word}: no such file; name the topology itself, or its file")
        return load(word).name
    return word


def name_of_unconfirmed(word: str | None) -> str:
    """The topology that `word` means, or the only one that waits for its confirmation."""
    if word is not None:
        return name_of(word)
    waiting = [row["name"] for row in client().topologies() if row["unconfirmed"]]
    if len(waiting) != 1:
        raise UsageError(f"name the topology: {' or '.join(waiting)}" if waiting else "no change waits for its confirmation")
    return str(waiting[0])


def print_steps(answer: dict[str, Any], output: str, nothing: str) -> None:
    """Steps as lines, or the whole answer as JSON; the words of `nothing` when there are none."""
    if output == "json":
        print_json(answer)
        return
    for step in answer["steps"]:
        click.echo(step["text"])
    if not answer["steps"]:
        click.echo(nothing)
