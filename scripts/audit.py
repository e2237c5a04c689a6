"""Asks an advisory service about every pinned dependency. Known holes fail it; a service that is away is told loudly.

    scripts/audit.py [--requirement FILE] [options of pip-audit, such as --vulnerability-service osv]

pip-audit calls it a success when a service knows none of the packages, as a mirror without advisories does. Here that
is an audit that did not take place.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: Seconds for the service to answer for all packages. Ten are usual.
AUDIT_SECONDS = 120

#: Advisories that do not concern us, each with the reason.
IGNORED: dict[str, str] = {}


def audit(requirements: Path, options: list[str]) -> int:
    """Audit the pinned versions in a file, say what came of it, and return the exit code: 1 when there are holes."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", *options]
    for advisory in IGNORED:
        command += ["--ignore-vuln", advisory]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _skipped(f"the advisory service did not answer within {AUDIT_SECONDS} s")
    try:
        dependencies = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        return _skipped((answer.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:300])
    return judged(dependencies)


def judged(dependencies: list[dict[str, Any]]) -> int:
    """Say what pip-audit found, in its own JSON, and return the exit code."""
    asked = [each for each in dependencies if "vulns" in each]
    unknown = [each for each in dependencies if "vulns" not in each]
    if not asked:
        return _skipped(
            str(unknown[0].get("skip_reason", "no reason was given")) if unknown else "nothing to ask about"
        )
    holes = [(each, hole) for each in asked for hole in each["vulns"]]
    for each, hole in holes:
        repaired = ", ".join(hole["fix_versions"]) or "none yet"
        print(f"audit: {each['name']} {each['version']} has {hole['id']}; repaired in: {repaired}")
    if unknown:
        print(f"audit: NOT AUDITED: {', '.join(each['name'] for each in unknown)}: the service does not know them")
    print(f"audit: {len(asked)} of {len(dependencies)} dependencies were looked up, {len(holes)} known holes")
    return 1 if holes else 0


def _skipped(reason: str) -> int:
    print(f"audit: SKIPPED, no dependency was looked up: {reason}", file=sys.stderr)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask an advisory service about every pinned dependency.")
    parser.add_argument(
        "--requirement", type=Path, default=ROOT / "constraints.txt", help="pinned versions, a line each"
    )
    chosen, options = parser.parse_known_args()
    return audit(chosen.requirement, options)


if __name__ == "__main__":
    sys.exit(main())
