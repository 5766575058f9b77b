"""The one door for what commands print: data on stdout as a table or as JSON, words on stderr.

A table on a terminal is coloured and fits the window; on a pipe it is plain columns that are never cut, so `grep` and
`awk` see whole values.  JSON is the contract; tables are for people and may change.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import rich_click as click

WIDE = 10_000                      # columns of a pipe: never fold, never cut

output_option: Callable[[Any], Any] = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)
"""Adds `output: str` ("table" or "json") to a command that reads something."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below upper-case column heads; numbers to the right, None is `-`; an empty `title` prints none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for index, column in enumerate(columns):
        values = [row[index] for row in cells if row[index] is not None]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        table.add_column(column.upper(), justify="right" if numeric else "left", no_wrap=not console.is_terminal)
    for row in cells:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    with console.capture() as captured:
        console.print(table)
    # Plain columns would otherwise be padded with blanks up to the last column's width.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_json(value: object) -> None:
    """Print `value` as one JSON document, two blanks deep, keys in the order given."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(words: str) -> None:
    """One line for a person, on stderr."""
    click.echo(words, err=True)
