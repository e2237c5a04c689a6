"""Compare our symbols with those of universal-ctags: functions, methods and classes, by name and line.

    python scripts/ctags_agreement.py DIRECTORY ...

Prints, for each language, how many definitions of ctags we have on the same line, as the same definition on another of
its lines (ctags says where the name is, we where the definition begins), and not at all, with examples.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from indexing import languages, parser  # noqa: E402 the path comes first

#: What ctags calls functions, methods and classes, by our languages.
KINDS = {
    "python": {"class", "function", "member"},
    "javascript": {"class", "function", "method", "generator"},
    "typescript": {"class", "function", "method", "generator"},
    "tsx": {"class", "function", "method", "generator"},
    "go": {"func"},
    "rust": {"function", "method"},
    "java": {"class", "method", "interface", "enum"},
    "c": {"function"},
    "cpp": {"class", "function"},
    "ruby": {"class", "method", "singletonMethod", "module"},
    "csharp": {"class", "method", "interface"},
    "php": {"class", "function", "interface", "trait"},
    "kotlin": {"class", "method", "interface", "object"},
}

#: Headers of another language. And in JavaScript ctags calls every object with members a class: only those that say so
#: are counted.
_OBJECTIVE_C = re.compile(rb"^\s*(@interface|@protocol|@class|#import|NS_ASSUME)", re.MULTILINE)

#: A file that is larger is data, in bytes; we would skip it.
LARGEST = 1024 * 1024

#: Examples shown of what is missing.
EXAMPLES = 5


@dataclass
class Agreement:
    """Counts of one language."""

    files: int = 0
    ctags: int = 0
    same_line: int = 0
    same_definition: int = 0
    ours: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def found(self) -> float:
        """The part of ctags' definitions that we have."""
        return (self.same_line + self.same_definition) / self.ctags if self.ctags else 1.0


def compare(paths: Iterable[Path]) -> dict[str, Agreement]:
    """By language, for files of any languages. ctags must be on the PATH."""
    found: dict[str, Agreement] = defaultdict(Agreement)
    wanted = [path for path in paths if path.is_file() and path.stat().st_size <= LARGEST]
    by_path = _tags(wanted)
    # As in a commit with all of them.
    has_cpp = any(languages.is_cpp_source(str(path).encode()) for path in wanted)
    for path in wanted:
        language = languages.language_of(str(path).encode(), has_cpp=has_cpp)
        if language not in KINDS:
            continue
        content = path.read_bytes()
        if language in ("c", "cpp") and _OBJECTIVE_C.search(content):
            continue
        parsed = parser.parse(language, content, seconds=10, max_symbols=100_000)
        if parsed.skip_reason is not None:
            continue
        lines = content.decode("utf-8", "replace").split("\n")
        agreement = found[language]
        agreement.files += 1
        agreement.ours += len(parsed.symbols)
        exact = {(_plain(each.name), each.first_line) for each in parsed.symbols}
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for each in parsed.symbols:
            spans[_plain(each.name)].append((each.first_line, each.last_line))
        for name, line, kind in by_path.get(str(path), ()):
            if kind not in KINDS[language]:
                continue
            if language == "javascript" and kind == "class" and "class" not in lines[line - 1]:
                continue
            name = _plain(name)
            agreement.ctags += 1
            if (name, line) in exact:
                agreement.same_line += 1
            elif any(first <= line <= last for first, last in spans[name]):
                agreement.same_definition += 1
            else:
                agreement.missing.append(f"{path}:{line}: {kind} {name}")
    return found


def _plain(name: str) -> str:
    """A name in the way of both: ctags writes operators with a blank, and private members of JavaScript without #."""
    return name.replace(" ", "").removeprefix("#")


def _tags(paths: list[Path]) -> dict[str, list[tuple[str, int, str]]]:
    """Name, line and kind of each tag, by path. What ctags makes up names for (anonymous things) is left out."""
    done = subprocess.run(
        ["ctags", "--options=NONE", "--output-format=json", "--fields=+nK", "--extras=-F", "-f", "-", "-L", "-"],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    found: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for tag in map(json.loads, filter(None, done.stdout.split("\n"))):
        if tag["_type"] == "tag" and not tag["name"].startswith(("__anon", "anonymous", "AnonymousFunction", "<")):
            found[tag["path"]].append((tag["name"], tag["line"], tag["kind"]))
    return found


def rows(found: dict[str, Agreement]) -> Iterator[str]:
    """A Markdown table."""
    yield "| language | files | ctags | same line | same definition | not found | found |"
    yield "|---|---|---|---|---|---|---|"
    for name, each in sorted(found.items()):
        yield (
            f"| {name} | {each.files:,} | {each.ctags:,} | {each.same_line:,} | {each.same_definition:,} "
            f"| {len(each.missing):,} | {each.found:.2%} |"
        )


def main() -> None:
    """Compare what is below directories."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory", type=Path, nargs="+")
    given = options.parse_args()
    if shutil.which("ctags") is None:
        sys.exit("expected universal-ctags on the PATH, got none: install the package universal-ctags")
    found = compare(path for directory in given.directory for path in sorted(directory.rglob("*")))
    print("\n".join(rows(found)))
    for name, each in sorted(found.items()):
        for example in each.missing[:EXAMPLES]:
            print(f"{name}: not found: {example}")


if __name__ == "__main__":
    main()
