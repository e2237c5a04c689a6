"""Compare what is read of Python by its lines with what is read of it by its tree: every row of every file.

    python scripts/scanner_agreement.py DIRECTORY ...

Prints how many files are read without a tree, and each file whose rows differ; a difference makes the exit code 1. What
is written by people who test parsers (the test suites of Python and of its tools) is the best food for it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from indexing.extract import Extractor  # noqa: E402
from indexing.languages.python import GRAMMATICAL  # noqa: E402
from indexing.languages.python_scanner import scan  # noqa: E402
from indexing.limits import Limits  # noqa: E402
from indexing.texts import as_utf8  # noqa: E402 the path comes first

#: CPU seconds for a tree: a busy machine must not leave files out.
TREE_SECONDS = 60.0


@dataclass
class Agreement:
    """Of all files; bytes and CPU seconds are those of what was scanned, or needs a tree."""

    files: int = 0
    size_bytes: int = 0
    with_tree: int = 0
    with_tree_bytes: int = 0
    symbols: int = 0
    scan_seconds: float = 0.0
    tree_seconds: float = 0.0
    differing: list[str] = field(default_factory=list)


def compare(paths: Iterable[Path]) -> Agreement:
    """Compare all Python files among some paths."""
    extractor, limits, found = Extractor(GRAMMATICAL), Limits(), Agreement()
    for path in paths:
        if path.suffix not in (".py", ".pyi") or not path.is_file() or path.stat().st_size > limits.max_file_bytes:
            continue
        decoded = as_utf8(path.read_bytes())
        if decoded is None:
            continue
        source = decoded[0]
        found.files += 1
        found.size_bytes += len(source)
        began = time.process_time()
        scanned = scan(source, limits.max_symbols_per_file)
        found.scan_seconds += time.process_time() - began
        if scanned is None:
            found.with_tree += 1
            found.with_tree_bytes += len(source)
            continue
        began = time.process_time()
        by_tree = extractor.extract_by_tree(source, seconds=TREE_SECONDS, max_symbols=limits.max_symbols_per_file)
        found.tree_seconds += time.process_time() - began
        found.symbols += len(by_tree[0])
        for by_lines, expected in zip_longest([*scanned[0], *scanned[1]], [*by_tree[0], *by_tree[1]]):
            if by_lines != expected:
                found.differing.append(f"{path}\n  by its lines: {by_lines}\n  by its tree:  {expected}")
                break
    return found


def main() -> None:
    """Print what was compared, and the first difference of each file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory", type=Path, nargs="+")
    given = options.parse_args()
    found = compare(path for directory in given.directory for path in sorted(directory.rglob("*")))
    print(f"{found.files} files, {found.size_bytes / 1e6:.1f} MB, {found.symbols} symbols")
    print(f"need a tree: {found.with_tree} files, {found.with_tree_bytes / 1e6:.1f} MB")
    print(f"CPU seconds: {found.scan_seconds:.2f} by lines, {found.tree_seconds:.2f} by trees")
    print(f"differ: {len(found.differing)}")
    for each in found.differing:
        print(each)
    sys.exit(1 if found.differing else 0)


if __name__ == "__main__":
    main()
