"""Mutation check: would the data plane's tests notice if one condition in it were the wrong way round?

    python tools/mutants.py [--seed N] [--sample 40 | --all] [--only FILE] [--jobs 2]

Each condition in dataplane/stages/ and dataplane/policies/ (of if, elif, while, of a conditional expression, of a bint that is
returned, and each operand of its `and` and `or`) is negated on a copy of the tree, alone; the copy is compiled and
tests/dataplane runs on it until a test fails.  A mutant that no test notices has survived.  Mutants that cannot be noticed
are in EQUIVALENT, each with its reason, and are not drawn.  Fails when fewer than 95 % of the sample are caught.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).parent))
from mutants_equivalent import EQUIVALENT

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "build" / "mutants"
LEFT_OUT = shutil.ignore_patterns("*.so", "__pycache__", "build", ".?*")
WANTED = 0.95
OPENING, CLOSING = ("(", "[", "{"), (")", "]", "}")
TEST_SECONDS = 300               # a mutant that makes a test hang is caught as well


@dataclass(frozen=True)
class Mutant:
    file: str                    # from the root
    line: int
    start: int                   # of the condition in the file's text
    end: int
    function: str
    condition: str

    @property
    def name(self) -> tuple[str, str]:
        """What EQUIVALENT calls it: stays when lines move."""
        return self.function, " ".join(self.condition.split())

    def apply(self, text: str) -> str:
        return f"{text[:self.start]}(not ({self.condition})){text[self.end:]}"


# Finding conditions.  Cython's tokens are Python's, so `tokenize` reads a .pxd.

def tokens_of(text: str) -> list[tuple[str, int, int, int]]:
    """(text, start, end, line) of every token that is code."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER)
    return [
        (token.string, starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1], token.start[0])
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in skipped
    ]


def spans(words: list[str]) -> Iterator[tuple[int, int, str]]:
    """(first, last + 1) of the tokens of each condition among `words`, and the function that it is in."""
    function, returns_bint, begins_statement = "", False, True
    for at, word in enumerate(words):
        if word == "cdef" and words[at + 1] == "inline":
            signature = words[at : words.index("(", at)]
            function, returns_bint = signature[-1], "bint" in signature
        if word in ("if", "elif", "while"):
            # A conditional expression's condition ends at its `else`, a statement's at its colon.
            yield at + 1, closing(words, at + 1, ":" if begins_statement else "else"), function
        elif word == "return" and returns_bint and words[at + 1] not in ("True", "False"):
            yield at + 1, closing(words, at + 1, "\n"), function
        begins_statement = word in ("\n", ":")


def closing(words: list[str], at: int, end: str) -> int:
    """Where the expression that begins `at` ends: at `end`, or at a bracket that it did not open."""
    depth = 0
    while depth or words[at] != end:
        depth += (words[at] in OPENING) - (words[at] in CLOSING)
        if depth < 0:
            return at
        at += 1
    return at


def operands(words: list[str], first: int, last: int) -> Iterator[tuple[int, int]]:
    """A condition, and each operand of its `and` and `or`, down into brackets that hold nothing else."""
    if words[first] == "(" and closing(words, first + 1, "") == last - 1:
        yield from operands(words, first + 1, last - 1)
        return
    yield first, last
    depth, starts = 0, [first]
    for at in range(first, last):
        depth += (words[at] in OPENING) - (words[at] in CLOSING)
        if depth == 0 and words[at] in ("and", "or"):
            starts.append(at + 1)
    if len(starts) > 1:
        for start, end in zip(starts, [*(start - 1 for start in starts[1:]), last], strict=True):
            yield from operands(words, start, end)


def mutants_of(file: str) -> list[Mutant]:
    text = (ROOT / file).read_text()
    tokens = tokens_of(text)
    words = [word for word, *_ in tokens]
    found = {}
    for first, last, function in spans(words):
        for begin, end in operands(words, first, last):
            start, stop = tokens[begin][1], tokens[end - 1][2]
            found[start, stop] = Mutant(file, tokens[begin][3], start, stop, function, text[start:stop])
    return list(found.values())


def all_mutants() -> list[Mutant]:
    files = sorted([*ROOT.glob("dataplane/stages/*.pxd"), *ROOT.glob("dataplane/policies/*.pxd")])
    mutants = [mutant for file in files for mutant in mutants_of(str(file.relative_to(ROOT)))]
    unknown = set(EQUIVALENT) - {mutant.name for mutant in mutants}
    if unknown:
        sys.exit(f"EQUIVALENT names conditions that are not there any more: {sorted(unknown)}")
    return [mutant for mutant in mutants if mutant.name not in EQUIVALENT]


# Trying one.

class Tree:
    """A copy of the project in which one mutant after another is compiled and tested."""

    def __init__(self, number: int, twin: Tree | None = None) -> None:
        self.root = SCRATCH / str(number)
        shutil.rmtree(self.root, ignore_errors=True)
        if twin:                                     # compiled already
            shutil.copytree(twin.root, self.root)
            return
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT)
        # Cython knows which extension includes which .pxd; `depends` would compile all of them for each mutant.
        setup = (self.root / "setup.py").read_text()
        (self.root / "setup.py").write_text(setup.replace("depends=HEADERS", "depends=[]").replace('"-O3"', '"-O1"'))
        self.build()

    def run(self, *command: str, seconds: int = TEST_SECONDS) -> tuple[int, str]:
        """(exit code, output); 124 when it took too long."""
        environment = os.environ | {"PYTHONPATH": str(self.root), "SEED": os.environ.get("SEED", "1")}
        if shutil.which("ccache"):
            environment |= {"CC": "ccache gcc"}
        try:
            done = subprocess.run(
                [sys.executable, *command], cwd=self.root, env=environment, text=True, errors="replace",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, ""
        return done.returncode, done.stdout

    def build(self) -> None:
        code, output = self.run("setup.py", "-q", "build_ext", "--inplace", seconds=600)
        if code:
            sys.exit(f"the mutant does not compile:\n{output}")

    def test(self) -> tuple[bool, str]:
        """(whether a test failed, which one)."""
        code, output = self.run(
            "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=60", "--hypothesis-profile=find", "tests/dataplane",
        )
        if code in (0, 5):
            return False, ""
        failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return True, failed[0].split(" - ")[0].split("::")[-1] if failed else "hung" if code == 124 else f"died ({code})"

    def try_mutant(self, mutant: Mutant) -> tuple[bool, str]:
        path = self.root / mutant.file
        text = path.read_text()
        try:
            path.write_text(mutant.apply(text))
            self.build()
            return self.test()
        finally:
            path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description="Negate one condition of the data plane at a time; do the tests notice?")
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--all", action="store_true", help="every mutant; takes hours")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="name the mutants and try none")
    options = parser.parse_args()
    mutants = [mutant for mutant in all_mutants() if options.only in mutant.file]
    n_all = len(mutants)
    if not options.all and options.sample < n_all:
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file}:{mutant.line}: {mutant.name[1]}")
        return 0
    print(f"{len(mutants)} of {n_all} mutants, SEED={options.seed}; {len(EQUIVALENT)} equivalent ones left out", flush=True)

    first = Tree(0)
    fails, by = first.test()
    if fails:
        sys.exit(f"{by} fails without a mutant")
    trees: Queue[Tree] = Queue()
    for tree in (first, *(Tree(number, first) for number in range(1, options.jobs))):
        trees.put(tree)

    def judge(mutant: Mutant) -> bool:
        tree = trees.get()
        try:
            is_caught, by = tree.try_mutant(mutant)
        finally:
            trees.put(tree)
        verdict = f"caught by {by}" if is_caught else "SURVIVED"
        print(f"{mutant.file}:{mutant.line}: not ({mutant.name[1]}): {verdict}", flush=True)
        return is_caught

    with ThreadPoolExecutor(options.jobs) as pool:
        caught = list(pool.map(judge, mutants))
    shutil.rmtree(SCRATCH, ignore_errors=True)
    share = sum(caught) / len(caught)
    print(f"{sum(caught)} of {len(caught)} caught ({share:.0%}, wanted {WANTED:.0%})")
    for mutant, is_caught in zip(mutants, caught, strict=True):
        if not is_caught:
            print(f"survived: {mutant.file}:{mutant.line}: not ({mutant.name[1]})")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
