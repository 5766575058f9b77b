"""`vswitch completion`: the script that teaches a shell the command words."""

from __future__ import annotations

import rich_click as click
from click.shell_completion import get_completion_class

from vswitch.errors import UsageError


@click.command("completion", short_help="Print a shell completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; in bash: `eval "$(vswitch completion bash)"`."""
    script = get_completion_class(shell)
    if script is None:
        raise UsageError(f"no completion for {shell}")
    try:
        click.echo(script(context.find_root().command, {}, "vswitch", "_VSWITCH_COMPLETE").source())
    except RuntimeError as error:      # click asks the installed bash for its version
        raise UsageError(f"no completion for this {shell}: {error}") from None
