"""`make fuzz MINUTES=10`: each target in turn in a process of its own; an input that ends one is kept as a regression."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import CORPUS, input_in_hand, run, seed_of_the_day
from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kept", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kept is not None:
        print(run(arguments.target, arguments.seed, seconds=arguments.minutes * 60, kept=arguments.kept))
        return
    wanted = [arguments.target] if arguments.target else list(TARGETS)
    failed = [target for target in wanted if not _fuzz(target, arguments.minutes / len(wanted), arguments.seed)]
    sys.exit(1 if failed else 0)


def _fuzz(target: str, minutes: float, seed: int | None) -> bool:
    seed = seed_of_the_day() if seed is None else seed
    with tempfile.NamedTemporaryFile() as kept:
        command = [sys.executable, "-m", "tests.fuzz", "--target", target, "--seed", str(seed), "--minutes", str(minutes),
                   "--kept", kept.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            print(f"{target}: {done.stdout.split()[-1]} executions without a finding (seed {seed})")
            return True
        octets = input_in_hand(Path(kept.name))
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"finding-{hashlib.sha256(octets).hexdigest()[:12]}"
    file.write_bytes(octets)
    print(f"{target}: ended with {done.returncode} (seed {seed}); the input is {file}\n{done.stdout}{done.stderr[-4000:]}")
    return False


if __name__ == "__main__":
    main()
