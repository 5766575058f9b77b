"""`vswitch schema`: the topology vocabulary as JSON Schema, for editors that complete and underline."""

from __future__ import annotations

import rich_click as click

from vswitch.cli._output import print_json
from vswitch.topology import json_schema


@click.command("schema", short_help="Print the JSON Schema of topology files.")
def command() -> None:
    """Print the JSON Schema of topology files.

    Save it as vswitch.schema.json and begin a topology with
    `# yaml-language-server: $schema=vswitch.schema.json`.
    """
    print_json(json_schema())
