"""`vswitch doctor`: what this host lacks, and how to mend it.

Each check is one function in `_checks.py` that looks at the host itself; nothing is installed or changed.
"""

from __future__ import annotations

import sys

import rich_click as click

from vswitch.cli._checks import CHECKS, Finding
from vswitch.cli._output import output_option, print_json, print_table, say

SIGNS = {"ok": "✓", "missing": "✗", "without": "-"}


@click.command("doctor", short_help="Find what this host lacks.")
@output_option
def command(output: str) -> None:
    """Look for everything that vswitch needs, and say how to get what is missing.

    Exit code 1 when something required is missing; what is optional only costs what its line says.
    """
    findings = [check() for check in CHECKS]
    missing = [finding for finding in findings if finding.is_required and not finding.is_present]
    if output == "json":
        print_json([{"check": finding.check, "state": _state(finding), "found": finding.found,
                     "required": finding.is_required, "mend": None if finding.is_present else finding.mend}
                    for finding in findings])
    else:
        print_table("", ["", "check", "found", "how to mend it"], [
            [SIGNS[_state(finding)], finding.check, finding.found, "" if finding.is_present else finding.mend]
            for finding in findings])
    if missing:
        say(f"{len(missing)} required: {', '.join(finding.check for finding in missing)}")
        sys.exit(1)


def _state(finding: Finding) -> str:
    if finding.is_present:
        return "ok"
    return "missing" if finding.is_required else "without"
