"""What the documents name must exist: paths, commands, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vswitch.cli import cli

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*(ROOT / folder / "README.md" for folder in ("", "benches", "dataplane", "vswitch", "tests/fuzz")),
             ROOT / "docs/libvirt.md", ROOT / "docs/qemu.md", ROOT / "docs/frames.md"]
FOLDERS = ("vswitch", "dataplane", "topologies", "benches", "tests", "tools", "docs")
PLACEHOLDER = re.compile(r"[A-Z]{3,}|<")     # WORD, NAME, <driver>: a place for a word, not a path


def paths_in(text: str) -> set[str]:
    """Paths in backquotes and link targets that lie in one of our folders."""
    named = set(re.findall(r"`([\w./<>-]+)`", text)) | set(re.findall(r"\]\(([\w./-]+)\)", text))
    return {name for name in named
            if name.split("/")[0] in FOLDERS and "/" in name and not PLACEHOLDER.search(name.split("/", 1)[1].split(".")[0])}


def sources_in(text: str) -> set[str]:
    """Source files in backquotes, as a document in their own folder names them."""
    return {name for name in re.findall(r"`([\w./]+\.(?:py|pyx|pxd|h))`", text) if not PLACEHOLDER.search(name)}


def words_in(text: str) -> set[str]:
    """Command words: `vswitch WORD` anywhere in a code span or a console line."""
    return set(re.findall(r"(?:`|\$ )vswitch ([a-z_]+)", text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_named_exists(document):
    missing = {name for name in paths_in(document.read_text()) if not (ROOT / name).exists()}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_named_exists(document):
    places = (ROOT, document.parent)
    assert not {name for name in sources_in(document.read_text()) if not any((place / name).exists() for place in places)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_named_exists(document):
    for word in words_in(document.read_text()):
        answer = CliRunner().invoke(cli, [word, "--help"])
        assert answer.exit_code == 0, f"{document.name} names `vswitch {word}`"


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Commands"):text.index("## To add")]
    for word in cli.list_commands(click.Context(cli)):
        assert re.search(rf"`{word}\b", table), f"README's table of commands lacks `{word}`"


def test_every_make_target_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    for document in DOCUMENTS:
        for target in re.findall(r"`make ([a-z-]+)", document.read_text()):
            assert re.search(rf"^{target}:", makefile, re.M), f"{document.name} names `make {target}`"


def test_the_checker_sees_what_is_missing():
    """The control: a path and a command that do not exist are found."""
    text = "see `dataplane/nowhere.pxd` and `vswitch fly`; `dataplane/policies/WORD.pxd` is only a pattern"
    assert paths_in(text) == {"dataplane/nowhere.pxd"}
    assert sources_in(text + ", `nowhere.pyx`") == {"dataplane/nowhere.pxd", "nowhere.pyx"}
    assert words_in(text) == {"fly"}
    assert CliRunner().invoke(cli, ["fly", "--help"]).exit_code == 2
