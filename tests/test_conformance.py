"""tests/CONFORMANCE.md names tests that exist, and its answers are complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ANSWERS = {"yes", "different because", "no"}
REQUIRED_ATTACKS = {f"A{n:02d}" for n in (*range(1, 23), 24, 26, 27, 28, 31, 32, 33)}
VHOST_USER = {"M": 8, "R": 7, "D": 14, "N": 3}          # cases of each letter


def rows(text: str) -> list[tuple[str, str, str, str]]:
    """(case, what, answer, test or reason) of every row with four cells, heads left out."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == 4 and cells[2] != "answer" and not set(line) <= set("|-"):
            found.append((cells[0], cells[1], cells[2], cells[3]))
    return found


def named_tests(cell: str) -> list[str]:
    return re.findall(r"`([\w/]+\.py::\w+)`", cell)


def exists(name: str) -> bool:
    path, function = name.split("::")
    if not (TESTS / path).exists():
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.parse((TESTS / path).read_text()).body)


ROWS = rows((TESTS / "CONFORMANCE.md").read_text())


def test_the_table_is_read():
    assert len(ROWS) > 100
    assert {answer for _, _, answer, _ in ROWS} <= ANSWERS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_answer_has_what_it_needs(row):
    """A `yes` and a difference name tests; everything but a `yes` says why."""
    _, _, answer, rest = row
    tests = named_tests(rest)
    assert [name for name in tests if not exists(name)] == []
    if answer in ("yes", "different because"):
        assert tests
    if answer != "yes":
        assert len(re.sub(r"`[^`]*`", "", rest).strip(" :")) >= 10


def test_every_attack_that_must_fail_has_a_test():
    answers = {case: answer for case, _, answer, _ in ROWS if re.fullmatch(r"A\d\d", case)}
    assert set(answers) >= REQUIRED_ATTACKS
    assert {case: answers[case] for case in REQUIRED_ATTACKS if answers[case] != "yes"} == {}


@pytest.mark.parametrize("path", sorted(TESTS.glob("dataplane/test_vhost_user_*.py")), ids=lambda path: path.stem)
def test_every_test_of_a_vhost_user_case_is_in_the_table(path):
    """And every case has its row, so a test's number can be looked up."""
    cases = {letter + str(n) for letter, last in VHOST_USER.items() for n in range(1, last + 1)}
    assert {case for case, _, answer, _ in ROWS if answer == "yes"} >= cases
    listed = {name for case, _, _, rest in ROWS if case in cases for name in named_tests(rest)}
    numbered = [node.name for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.FunctionDef) and re.match(r"test_[mrdn]\d+_", node.name)]
    assert {f"dataplane/{path.name}::{name}" for name in numbered} <= listed


def test_the_checker_sees_what_is_missing():
    """The control: a row that names a test that is not there."""
    [(case, _, answer, rest)] = rows("| A99 | a trick | yes | `dataplane/test_vlan.py::test_that_is_not_there` |")
    assert (case, answer) == ("A99", "yes")
    assert [exists(name) for name in named_tests(rest)] == [False]
    assert exists("test_conformance.py::test_the_checker_sees_what_is_missing")
