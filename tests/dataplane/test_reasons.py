"""Every reason has a sentence, a counter and a line of documentation, and each reason of the core is shown here by a frame."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dataplane import reasons

ROOT = Path(__file__).resolve().parents[2]


def test_both_lists_have_the_same_order():
    """reasons.pxd is what the packet path uses, reasons.py what people read."""
    text = (ROOT / "dataplane/reasons.pxd").read_text()
    numbers = [name.lower() for name in re.findall(r"^    DROP_(\w+)", text, re.M)]
    assert tuple(numbers) == reasons.NAMES[1:]


def test_every_reason_has_one_sentence():
    assert len(set(reasons.NAMES)) == len(reasons.NAMES) <= reasons.REASONS_MAX
    for name, sentence in reasons.REASONS:
        assert re.fullmatch(r"[A-Z][^\n|]+\.", sentence), name
        assert re.fullmatch(r"[a-z_]+", name)


def test_the_documentation_lists_every_reason():
    """docs/reasons.md is written by tools/reasons-page, which knows a remedy for each."""
    command = [sys.executable, str(ROOT / "tools/reasons-page"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reason_is_met_by_a_test():
    """A reason that no test names could be a dead one."""
    text = "".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    missing = {name for name in reasons.NAMES[1:] if f'"{name}"' not in text and f"{name}=" not in text}
    # The kernel refuses a frame for good only when its header is wrong, and every header that we write is our own.
    assert missing <= {"tx_error"}
