"""`vswitch init`: a commented topology to start from.

The templates are the files of topologies/ themselves: in a checkout `templates` is a link to them, and a wheel has them.
"""

from __future__ import annotations

import re
from pathlib import Path

import rich_click as click

from vswitch.cli._output import say
from vswitch.errors import RefusedError, UsageError
from vswitch.topology.scalars import NAME

TEMPLATES = Path(__file__).parent / "templates"
SHORT = {"dmz": "single-host-dmz", "flat": "two-guests", "isolated": "isolated-guests", "zones": "three-zones"}
WORDS = sorted({*SHORT, *(path.stem for path in TEMPLATES.glob("*.yaml"))})


@click.command("init", short_help="Write a commented topology to start from.")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("-t", "--template", type=click.Choice(WORDS), default="flat", show_default=True, help="Where to start.")
def command(file: str | None, template: str) -> None:
    """Write a commented topology to FILE (by default TEMPLATE.yaml), with the firewall rules that it names beside it.

    Nothing that exists is overwritten.
    """
    target = Path(file or f"{template}.yaml")
    if not re.fullmatch(NAME, target.stem):
        raise UsageError(f"`{target.stem}` would be the topology's name; expected letters, digits, `-` and `_`")
    text = (TEMPLATES / f"{SHORT.get(template, template)}.yaml").read_text()
    wanted = {target: _renamed(text, target)}
    for rules in re.findall(r"nftables: ([\w.-]+)", text):
        wanted[target.parent / rules] = (TEMPLATES / rules).read_text()
    wanted = {path: content for path, content in wanted.items() if path == target or not _has(path, content)}
    present = [str(path) for path in wanted if path.exists()]
    if present:
        cure = "choose another FILE" if target.exists() else "write FILE into another directory"
        raise RefusedError(f"{', '.join(present)}: nothing that exists is overwritten; {cure}")
    for path, content in wanted.items():
        try:
            with path.open("x") as stream:
                stream.write(content)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        say(f"wrote {path}")
    say(f"next: vswitch validate {target}")


def _has(path: Path, content: str) -> bool:
    """Whether a file with just this content is there: rules that another topology of this directory uses too."""
    try:
        return path.read_text() == content
    except (OSError, UnicodeDecodeError):
        return False


def _renamed(text: str, target: Path) -> str:
    """`text` with the topology named after its file, in its comments too."""
    old = re.search(r"^name: (\S+)", text, re.MULTILINE)
    assert old is not None, "every template has a name"
    text = text.replace(f"topologies/{old[1]}.yaml", str(target))
    text = re.sub(rf"^name: {old[1]}$", f"name: {target.stem}", text, flags=re.MULTILINE)
    return re.sub(rf"(vswitch down ){old[1]}$", rf"\g<1>{target.stem}", text, flags=re.MULTILINE)
