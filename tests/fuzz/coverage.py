"""`make fuzz-coverage`: the lines of the walker and of the validator that the corpus reaches, and those that it does not.

The walker is C when it runs, so gcov counts its lines, in a build made for that (VSWITCH_COVERAGE=1); the validator is Python
and is traced.  A line that only another part of the product leads to (a successor's `restore`, say) is named in BY_OTHERS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

from dataplane.ports.vhost_user import backend, connection, memory_table, protocol, rings
from tests.fuzz.messages import Messages
from tests.fuzz.run import corpus

FOLDER = "dataplane/ports/vhost_user"
WALKER = ("guest_memory.pxd", "virtqueue.pxd", "guest_tx.pxd", "guest_rx.pxd")
VALIDATOR = (protocol, connection, backend, memory_table, rings)
# Functions that no message leads to.
BY_OTHERS = {
    "condition", "is_up", "fileno", "tick", "is_late", "duplicate", "restore", "release", "bits",
}


def lines_of(code: types.CodeType) -> set[int]:
    """The lines of a function and of those inside it; the `def` line runs when the module loads."""
    lines = {line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            lines |= lines_of(constant)
    return lines


def functions_of(code: types.CodeType) -> list[types.CodeType]:
    """The functions of a module and of its classes that messages lead to."""
    found = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name not in BY_OTHERS:
            found += functions_of(constant) if not constant.co_flags & 1 else [constant]     # a class has no fast locals
    return found


def validator() -> dict[str, tuple[set[int], set[int]]]:
    """File -> (lines, lines that the corpus of messages does not reach)."""
    seen: dict[str, set[int]] = {module.__file__: set() for module in VALIDATOR}

    def trace(frame: types.FrameType, event: str, argument: object) -> object:
        lines = seen.get(frame.f_code.co_filename)
        if lines is None:
            return None
        lines.add(frame.f_lineno)
        return trace

    target = Messages()
    inputs = list(corpus("messages").values())
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for octets in inputs:
            target(octets)
    finally:
        sys.settrace(before)
    found = {}
    for module in VALIDATOR:
        path = Path(module.__file__)
        lines = set().union(*map(lines_of, functions_of(compile(path.read_text(), path, "exec"))))
        found[f"{FOLDER}/{path.name}"] = lines, lines - seen[module.__file__]
    return found


def walker() -> dict[str, tuple[set[int], set[int]]]:
    """File -> (lines, lines that the corpora do not reach)."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    counted = Path(f"build/temp.{sys.platform}-x86_64-cpython-{version}/build/cython/{FOLDER}")
    for path in counted.glob("*.gcda"):
        path.unlink()
    code = "; ".join(("from tests.fuzz.targets import TARGETS", "from tests.fuzz.run import corpus",
                      "[[execute(octets) for octets in corpus(name).values()] for name in ('chains', 'messages')"
                      " for execute in [TARGETS[name]()]]"))
    subprocess.run([sys.executable, "-c", code], check=True)
    said = subprocess.run(["gcov", "--json-format", "--stdout", str(counted / "port.gcda")], check=True, capture_output=True)
    found = {}
    for name in WALKER:
        counts: dict[int, int] = {}
        for file in json.loads(said.stdout)["files"]:
            if file["file"] == f"{FOLDER}/{name}":
                for line in file["lines"]:
                    counts[line["line_number"]] = counts.get(line["line_number"], 0) + line["count"]
        found[f"{FOLDER}/{name}"] = set(counts), {line for line, count in counts.items() if not count}
    return found


def main() -> None:
    n_missed = 0
    for path, (lines, missed) in (walker() | validator()).items():
        print(f"{path}: {100 * (1 - len(missed) / len(lines)):.1f} % of {len(lines)} lines")
        text = Path(path).read_text().splitlines()
        for line in sorted(missed):
            print(f"    {line}: {text[line - 1].strip()}")
        n_missed += len(missed)
    sys.exit(1 if n_missed else 0)


if __name__ == "__main__":
    main()
