"""How long a file and a function may be, and that each file says at its head what it is.

Who is longer has a second reason to change, and is split by it.  A stage or a policy is one screen or two; a driver or a table
owns memory and says so at length; everything else lies between.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("benches", "dataplane", "tests", "tools", "vswitch")
FUNCTION_LINES = 50
# The first folder that a file lies in counts.
FILE_LINES = {"dataplane/stages": 150, "dataplane/policies": 150, "dataplane/ports": 400, "dataplane/tables": 400, "": 300}
# What is longer, how long it may be, and why it is not split.
LONGER = {
    "dataplane/policies/chain.pxd": (165, "the order of all policies is read at one place; a third of it names them"),
    "dataplane/switch.pyx": (314, "in what order a change reaches the worker, of each kind of change, is one reason"),
    "dataplane/worker.pyx": (390, "the loop is translated as one, so that what each burst runs is laid out together"),
}
# `def name(`, `cdef [inline] type name(`, `async def name(`; a class or a struct has no parenthesis before its colon or is none.
DEFINITION = re.compile(r"^(?P<indent> *)(?:async )?(?:def|cdef|cpdef) (?!class |struct |enum|extern )[^=(]*?(?P<name>\w+)\(")
HEAD = re.compile(r'"""\S.{15,}|/\* \S.{15,}')
CLOSING = re.compile(r"^ *[)\]}]")


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")
                  if path.suffix in (".py", ".pyx", ".pxd", ".h"))


def limit_of(name: str) -> int:
    """Of the file `name`, a path below the root."""
    return next(lines for folder, lines in FILE_LINES.items() if name.startswith(folder))


def functions_of(text: str) -> dict[str, int]:
    """Each function and how many lines it has; what lies in another one counts for both."""
    lines = text.splitlines()
    found: dict[str, int] = {}
    for start, line in enumerate(lines):
        match = DEFINITION.match(line)
        if match is None:
            continue
        indent, end = len(match["indent"]), start + 1
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent
                                    or CLOSING.match(lines[end])):
            end += 1
        while not lines[end - 1].strip():
            end -= 1
        found[match["name"]] = max(end - start, found.get(match["name"], 0))
    return found


def too_long(name: str, text: str) -> dict[str, int]:
    """What in a file is over its limit, the file itself included: its name -> lines."""
    found = {f"{name} {function}": n for function, n in functions_of(text).items() if n > FUNCTION_LINES}
    n_lines = len(text.splitlines())
    return found | ({name: n_lines} if n_lines > limit_of(name) else {})


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_and_no_function_is_too_long(path):
    for name, n_lines in too_long(str(path.relative_to(ROOT)), path.read_text()).items():
        assert name in LONGER, f"{name} has {n_lines} lines"
        assert n_lines <= LONGER[name][0], f"{name} has {n_lines} lines, and {LONGER[name][0]} at most"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_at_its_head_what_it_is(path):
    text = path.read_text().removeprefix("#!/usr/bin/env python3\n")
    assert not text or HEAD.match(text)


def test_what_may_be_longer_is_longer():
    found = {name for path in sources() for name in too_long(str(path.relative_to(ROOT)), path.read_text())}
    assert set(LONGER) <= found, "an exception that nothing needs any more"


def test_the_checker_sees_what_is_too_long():
    """The control, in each of the languages."""
    body, inner = "    pass\n" * 49, "        pass\n" * 60
    assert functions_of(f"def short():\n{body}\n\nasync def long(\n    a,\n) -> None:\n{body}x = 1\n") == {
        "short": 50, "long": 52}
    assert functions_of(f"cdef inline int long(\n    int a\n) noexcept nogil:\n{body}\ncdef struct S:\n{body}") == {"long": 52}
    assert functions_of(f"class A:\n    def long(self):\n{inner}    x = 1\n") == {"long": 61}
    assert too_long("dataplane/stages/a.pxd", "#\n" * 151) == {"dataplane/stages/a.pxd": 151}
    assert too_long("dataplane/tables/a.pxd", "#\n" * 400) == {}
    assert too_long("vswitch/a.py", "#\n" * 301) == {"vswitch/a.py": 301}
    assert HEAD.match('"""The forwarding database."""\n') and HEAD.match("/* What only C can say.")
    assert not HEAD.match('"""."""\n') and not HEAD.match("import os\n")
