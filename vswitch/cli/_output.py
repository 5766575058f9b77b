"""The one door for what commands print: data on stdout as a table or as JSON, words on stderr.

A table on a terminal is coloured and fits the window; on a pipe it is plain columns that are never cut, so `grep` and
`awk` see whole values.  JSON is the contract; tables are for people and may change.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import rich_click as click

GAP = 2                            # blanks between two columns
FOLDED_MIN = 24                    # characters of prose in a line of a folded cell

def _output_option(*forms: str) -> Callable[[Any], Any]:
    return click.option("-o", "--output", type=click.Choice(forms), default="table", show_default=True,
                        help="How to print the result.")


output_option = _output_option("table", "json")
"""Adds `output: str` ("table" or "json") to a command that reads something."""
wide_output_option = _output_option("table", "wide", "json")
"""The same for a command whose table has columns that a narrow terminal has no room for; "wide" prints them all."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, optional: Sequence[str] = (),
                folding: Sequence[str] = ()) -> None:
    """Print rows below upper-case column heads; numbers to the right, None is `-`; an empty `title` prints none.

    On a terminal that is too narrow the `optional` columns are left out, the first one first, and cells of the columns in
    `folding` (by default the last one) go on below.  Names and addresses are never cut: a line that is still too long wraps.
    """
    cells = [["-" if value is None else value for value in row] for row in rows]
    if not sys.stdout.isatty():
        _print_plain(title, columns, cells)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = {column: max((len(str(row[index])) for row in cells), default=0) for index, column in enumerate(columns)}
    widths = {column: max(width, len(column)) for column, width in widths.items()}
    folding = folding or columns[-1:]
    shown = list(columns)
    width = shutil.get_terminal_size().columns
    for column in optional:
        if sum(widths[name] + GAP for name in shown) - GAP > width:
            shown.remove(column)
    least = sum((min(widths[name], FOLDED_MIN) if name in folding else widths[name]) + GAP for name in shown)
    console = Console(width=max(width, least), height=1, highlight=False)
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for index, column in enumerate(columns):
        if column in shown:
            table.add_column(column.upper(), justify="right" if _is_numeric(cells, index) else "left", overflow="fold",
                             no_wrap=column not in folding)
    for row in cells:
        table.add_row(*(Text(str(value)) for column, value in zip(columns, row, strict=True) if column in shown))
    with console.capture() as captured:
        console.print(table)
    # Plain columns would otherwise be padded with blanks up to the last column's width.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print_plain(title: str, columns: Sequence[str], cells: list[list[object]]) -> None:
    """What is piped: every value whole, and a table of any size at once (Rich takes 1 ms for a row)."""
    from rich.cells import cell_len

    lines = [[column.upper() for column in columns], *([str(value) for value in row] for row in cells)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    right = [_is_numeric(cells, index) for index in range(len(columns))]
    text = [title] if title else []
    for line in lines:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        text.append((" " * GAP).join(blank + cell if is_right else cell + blank for cell, blank, is_right
                                     in zip(line, blanks, right, strict=True)).rstrip())
    click.echo("\n".join(text))


def _is_numeric(cells: list[list[object]], index: int) -> bool:
    values = [row[index] for row in cells if row[index] != "-"]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def print_json(value: object) -> None:
    """Print `value` as one JSON document, two blanks deep, keys in the order given."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(words: str) -> None:
    """One line for a person, on stderr."""
    click.echo(words, err=True)
