"""The commands: one file for each command word, loaded when it is typed, so that completion and --help stay quick."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from typing import Any

import rich_click as click

from vswitch.errors import VswitchError

ALIASES = {"deploy": "up", "apply": "up", "destroy": "down"}


class Words(click.RichGroup):
    """A group whose commands are the modules of this package; `vswitch/cli/WORD.py` defines `command`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, context: click.Context, word: str) -> click.Command | None:
        word = ALIASES.get(word, word)
        known = self.list_commands(context)
        if word not in known:
            close = difflib.get_close_matches(word, [*known, *ALIASES], n=1)
            context.fail(f"No such command `{word}`; " + (f"did you mean `{close[0]}`?" if close
                                                          else "`vswitch --help` lists them"))
        command: click.Command = importlib.import_module(f"vswitch.cli.{word}").command
        return command


@click.group(cls=Words, context_settings={"auto_envvar_prefix": "VSWITCH", "help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.version_option(package_name="vswitch", prog_name="vswitch")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Declared, isolated virtual switches for the QEMU guests of this host."""
    context.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> Any:
    """Run one command; an error becomes one message on stderr and an exit code (see `vswitch.errors`)."""
    try:
        cli.main(args=arguments, prog_name="vswitch", standalone_mode=True)
    except VswitchError as error:
        if "--debug" in (arguments or sys.argv):
            raise
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except PermissionError as error:   # such as ending the processes of a lab that root has started
        if "--debug" in (arguments or sys.argv):
            raise
        click.echo(f"{error.filename or 'vswitch'}: {error.strerror}; try again with sudo", err=True)
        sys.exit(1)


def vhost_user_net() -> Any:
    """`vswitch vhost_user` under a name of its own, for management software that starts a program and knows no words."""
    return main(["vhost_user", *sys.argv[1:]])
