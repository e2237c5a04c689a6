"""Builds both distributions, sdist and wheel, and checks them.

    .venv/bin/python scripts/build_packages.py [--out dist]

indexq      the application: everything at the top of this repository, for an environment of its own. Its modules have
            plain names (`settings`, `broker`, `logs`): they would meet those of another application.
leasequeue  the broker alone, for anybody's environment: one package, from packages/leasequeue/pyproject.toml.

Needs the extra "release" (pip install -c constraints.txt -e '.[release]').
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: What a copy of a room leaves behind.
UNWANTED = shutil.ignore_patterns("__pycache__", "*.pyc")


def stage_leasequeue(directory: Path) -> Path:
    """Put everything that the distribution leasequeue is made from into an empty directory, and return it."""
    shutil.copytree(ROOT / "packages" / "leasequeue", directory, dirs_exist_ok=True)
    shutil.copytree(ROOT / "leasequeue", directory / "leasequeue", ignore=UNWANTED)
    shutil.copy(ROOT / "LICENSE", directory)
    return directory


def stage_indexq(directory: Path) -> Path:
    """The same for indexq: what git has, so that nothing that lies around in a checkout gets into a release."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)
    return directory


STAGES = {"leasequeue": stage_leasequeue, "indexq": stage_indexq}


def main() -> int:
    parser = argparse.ArgumentParser(description="Build and check the distributions.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where they are put (default: dist)")
    out: Path = parser.parse_args().out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="indexq-build-") as work:
        for name, stage in STAGES.items():
            # The wheel is made from the sdist: what is missing there is found out now.
            directory = stage(Path(work) / name)
            code = subprocess.run([sys.executable, "-m", "build", "--outdir", out, directory], check=False).returncode
            if code != 0:
                print(
                    f"build_packages: expected to build {name}, but python -m build failed; see above. It is in the "
                    "extra 'release'",
                    file=sys.stderr,
                )
                return code
    return subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *out.iterdir()], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
