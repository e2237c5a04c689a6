"""Runs the tests of leasequeue beside another release of dramatiq than the one that dramatiq-pg admits.

    .venv/bin/python scripts/beside_dramatiq.py [VERSION] [-- PYTEST ARGUMENTS]

The bound "dramatiq<2" is dramatiq-pg's; nothing of it is needed here but a class and a table. This installs what
constraints.txt says into an environment under .local/, puts the other dramatiq over it without asking its neighbours,
and runs the rooms that use dramatiq. What passed when: docs/how-to/leasequeue-alone.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The release that is tried when none is named.
VERSION = "2.2.1"

#: What knows of dramatiq: the broker, its faults, and what is built upon it.
TESTS = ("tests/leasequeue", "tests/faults", "tests/health", "tests/actors", "tests/logs")


def environment(version: str) -> Path:
    """The interpreter of an environment with that dramatiq; made when it is not there."""
    directory = ROOT / ".local" / "venvs" / f"dramatiq-{version}"
    python = directory / "bin" / "python"
    ready = directory / "installed"
    if not ready.is_file() or ready.read_text() != (ROOT / "constraints.txt").read_text():
        venv.create(directory, with_pip=True, clear=True)
        pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-c", "constraints.txt", "-e", ".[dev]"], cwd=ROOT, check=True)
        subprocess.run([*pip, "install", "--no-deps", f"dramatiq=={version}"], cwd=ROOT, check=True)
        ready.write_text((ROOT / "constraints.txt").read_text())
    return python


def main() -> int:
    arguments = sys.argv[1:]
    version = arguments.pop(0) if arguments and arguments[0] != "--" else VERSION
    python = environment(version)
    chosen = arguments[1:] or list(TESTS)
    # No cache and no bytecode: this checkout belongs to another environment.
    command: list[str | Path] = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
