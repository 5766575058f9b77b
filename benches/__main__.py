"""Run the benches: `python -m benches [--only NAME] [--full]`, as root, in the project's directory."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from benches import questions
from benches.frame.records import ROOT

FULL_ONLY = ("growth", "rfc2544", "rfc2889")


def names(full: bool) -> list[str]:
    found = sorted(module.name for module in pkgutil.iter_modules(questions.__path__))
    return [name for name in found if full or name not in FULL_ONLY]


def claim(name: str) -> str:
    """The first sentence of a question, which may import what is not compiled yet."""
    text = Path(questions.__path__[0], f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def build() -> None:
    """Compile the traffic generator, and the data plane if something of it has changed."""
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=ROOT, check=True,
                   env={**os.environ, "VSWITCH_BENCHES": "1"}, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help=f"one question: {', '.join(names(True))}")
    parser.add_argument("--full", action="store_true", help="also what takes long")
    parser.add_argument("--list", action="store_true", help="the questions and their claims")
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else names(arguments.full)
    if arguments.only and arguments.only not in names(True):
        parser.error(f"there is no question {arguments.only!r}; there are {', '.join(names(True))}")
    if arguments.list:
        for name in names(True):
            print(f"{name:22} {claim(name)}")
        return 0
    if os.geteuid():
        parser.error("benches make network namespaces, which only root may; try again with sudo")
    build()
    signal.signal(signal.SIGTERM, _leave)              # so that what was made is removed then too
    return _run(chosen, arguments.full)


def _run(chosen: list[str], full: bool) -> int:
    # Only now: they import what `build` compiles.
    from benches.bed.bed import remove_leftovers
    from benches.frame import machine, plots, readme, records
    from benches.frame.processors import busy_before
    from benches.frame.run import Run, table

    remove_leftovers()
    found, failed, disturbed = [], [], {}
    about = machine.describe()
    for name in chosen:
        question = importlib.import_module(f"benches.questions.{name}")
        disturbed[name] = round(busy_before(), 2)
        print(f"{name}: {claim(name)}", file=sys.stderr, flush=True)
        run = Run(name, full)
        began = time.monotonic()
        try:
            question.ask(run)
        except Exception as error:                     # one peer that does not start must not cost the other answers
            failed.append(name)
            print(f"  FAILED: {error!r}", file=sys.stderr, flush=True)
        run.say(f"{time.monotonic() - began:.0f} s; others kept {disturbed[name]:.2f} processors busy before it")
        found += run.records
        records.save(run.records, about, run.peers, disturbed)
    latest = [records.Record(**row) for row in records.load()["records"]]
    plots.plot(latest)
    readme.write(latest, about)
    print(table(found))
    return 1 if failed else 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
