"""Compare our symbols with those of universal-ctags: functions, methods and classes, by name and line.

    python scripts/ctags_agreement.py DIRECTORY ...

Each directory is taken for a commit. Prints, for each language, how many of ctags' definitions are none by the rules of
``ctags_inventions.py``, and of the others: how many we have on the same line, as the same definition on another of its
lines (ctags says where the name is, we where the definition begins), and not at all. Then what is no definition by its
causes, each with the number of those that we have not and have, and examples of what is not found.
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

from ctags_inventions import Tag, Text, cause_of  # noqa: E402 the path comes first

from indexing import languages, parser  # noqa: E402
from indexing.found import Symbol  # noqa: E402

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

#: Headers of another language.
_OBJECTIVE_C = re.compile(rb"^\s*(@interface|@protocol|@class|#import|NS_ASSUME)", re.MULTILINE)

#: Files that this version of ctags does not know.
_OPTIONS = ("--options=NONE", "--map-TypeScript=+.tsx", "--map-JavaScript=+.jsx")

#: How the names begin that ctags gives to what has none.
_MADE_UP = ("__anon", "anonymous", "AnonymousFunction", "AnonymousClass", "<")

#: A file that is larger is data, in bytes; we would skip it.
LARGEST = 1024 * 1024

#: Examples shown of what is missing.
EXAMPLES = 5


@dataclass
class Cause:
    """One way in which ctags errs."""

    found: int = 0
    missing: int = 0
    example: str = ""


@dataclass
class Agreement:
    """Counts of one language."""

    files: int = 0
    ours: int = 0
    ctags: int = 0
    #: What is none, by the names of the rules; the counts below are of the others.
    inventions: dict[str, Cause] = field(default_factory=lambda: defaultdict(Cause))
    same_line: int = 0
    same_definition: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def real(self) -> int:
        """How many of ctags' definitions are ones."""
        return self.same_line + self.same_definition + len(self.missing)

    @property
    def found(self) -> float:
        """The part of them that we have."""
        return 1 - len(self.missing) / self.real if self.real else 1.0


def compare(paths: Iterable[Path], found: dict[str, Agreement] | None = None) -> dict[str, Agreement]:
    """By language, for the files of one commit, beside what was found before. ctags must be on the PATH."""
    found = defaultdict(Agreement) if found is None else found
    wanted = [path for path in paths if path.is_file() and path.stat().st_size <= LARGEST]
    by_path = _tags(wanted)
    has_cpp = any(languages.is_cpp_source(str(path).encode()) for path in wanted)
    for path in wanted:
        language = languages.language_of(str(path).encode(), has_cpp=has_cpp)
        if language not in KINDS:
            continue
        content = path.read_bytes()
        if language in ("c", "cpp") and _OBJECTIVE_C.search(content):
            continue
        parsed = parser.parse(language, content, seconds=10, max_symbols=100_000)
        if parsed.skip_reason is None:
            _compare_file(found[language], language, path, content, list(parsed.symbols), by_path.get(str(path), []))
    return found


def _compare_file(
    agreement: Agreement, language: str, path: Path, content: bytes, symbols: list[Symbol], tags: list[Tag]
) -> None:
    agreement.files += 1
    agreement.ours += len(symbols)
    text = Text(content)
    exact = {(_plain(each.name), each.first_line) for each in symbols}
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for each in symbols:
        spans[_plain(each.name)].append((each.first_line, each.last_line))
    for tag in tags:
        if tag.kind not in KINDS[language]:
            continue
        name = _plain(tag.name)
        is_exact = (name, tag.line) in exact
        is_found = is_exact or any(first <= tag.line <= last for first, last in spans[name])
        example = f"{path}:{tag.line}: {tag.kind} {tag.name}"
        agreement.ctags += 1
        cause = cause_of(language, tag, text)
        if cause is not None:
            invention = agreement.inventions[cause]
            invention.found += is_found
            invention.missing += not is_found
            invention.example = invention.example or example
        elif is_exact:
            agreement.same_line += 1
        elif is_found:
            agreement.same_definition += 1
        else:
            agreement.missing.append(example)


def _plain(name: str) -> str:
    """A name in the way of both: ctags writes operators with a blank, private members of JavaScript without #,
    and keeps the backquotes of Kotlin."""
    return name.replace(" ", "").removeprefix("#").strip("`")


def _tags(paths: list[Path]) -> dict[str, list[Tag]]:
    """Tags by path. What ctags makes up names for (anonymous things) is left out."""
    done = subprocess.run(
        ["ctags", *_OPTIONS, "--output-format=json", "--fields=+nK", "--extras=-F", "-f", "-", "-L", "-"],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    found: dict[str, list[Tag]] = defaultdict(list)
    for tag in map(json.loads, filter(None, done.stdout.split("\n"))):
        if tag["_type"] == "tag" and not tag["name"].startswith(_MADE_UP):
            found[tag["path"]].append(Tag(tag["name"], tag["line"], tag["kind"]))
    return found


def rows(found: dict[str, Agreement]) -> Iterator[str]:
    """A Markdown table of languages."""
    yield "| language | files | ctags | no definitions | same line | same definition | not found | found |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, each in sorted(found.items()):
        yield (
            f"| {name} | {each.files:,} | {each.ctags:,} | {each.ctags - each.real:,} | {each.same_line:,} "
            f"| {each.same_definition:,} | {len(each.missing):,} | {each.found:.2%} |"
        )


def rows_of_causes(found: dict[str, Agreement]) -> Iterator[str]:
    """A Markdown table of what ctags calls a definition and is none."""
    yield "| language | what it is | not found | found | example |"
    yield "|---|---|---|---|---|"
    for name, each in sorted(found.items()):
        for cause, counted in sorted(each.inventions.items(), key=lambda item: -item[1].missing):
            yield f"| {name} | {cause} | {counted.missing:,} | {counted.found:,} | {counted.example} |"


def main() -> None:
    """Compare what is below directories."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory", type=Path, nargs="+")
    options.add_argument("--language", action="append", help="leave out what is in others")
    options.add_argument("--missing", type=Path, help="write all that is not found into this file")
    given = options.parse_args()
    if shutil.which("ctags") is None:
        sys.exit("expected universal-ctags on the PATH, got none: install the package universal-ctags")
    found: dict[str, Agreement] = defaultdict(Agreement)
    for directory in given.directory:
        compare(sorted(directory.rglob("*")), found)
    if given.language:
        found = {name: each for name, each in found.items() if name in given.language}
    print("\n".join(rows(found)), end="\n\n")
    print("\n".join(rows_of_causes(found)))
    for name, each in sorted(found.items()):
        for example in each.missing[:EXAMPLES]:
            print(f"{name}: not found: {example}")
    if given.missing is not None:
        given.missing.write_text("".join(f"{example}\n" for each in found.values() for example in each.missing))


if __name__ == "__main__":
    main()
