"""`vswitch version`: of this command, and of the vswitchd that runs."""

from __future__ import annotations

import platform

import rich_click as click

from vswitch import __version__
from vswitch.cli._named import client
from vswitch.cli._output import output_option, print_json
from vswitch.errors import DaemonError, NotRunningError


@click.command("version", short_help="Print versions.")
@output_option
def command(output: str) -> None:
    """Print the version of vswitch, of the running vswitchd if there is one, and of what they run on."""
    try:
        daemon = client().version()["version"]
    except NotRunningError:
        daemon = None
    except DaemonError as error:       # it runs, and is not ours to ask, or does not answer
        daemon = f"unknown: {error}"
    versions = {"vswitch": __version__, "vswitchd": daemon, "python": platform.python_version(),
                "kernel": platform.release()}
    if output == "json":
        print_json(versions)
        return
    for name, version in versions.items():
        click.echo(f"{name:<9}{version or 'not running'}")
