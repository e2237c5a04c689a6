"""Every setting: what .env.sample says of it, with the default and the bound from settings.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from pathlib import Path

from settings import Settings

SAMPLE = Path(__file__).resolve().parents[2] / ".env.sample"

HEADER = """\
# Settings

<!-- Made by scripts/reference.py from settings.py and .env.sample. Change those. -->

Environment variables, or lines of a `.env` file in the working directory, over which the environment wins. Durations
are seconds unless the name says otherwise; an empty value counts as not set. All problems are told at once, when a
process starts. Values are also checked against each other: `LEASE_SECONDS` has to be more than twice
`HEARTBEAT_SECONDS`, and so on.
"""

_SECTION = re.compile(r"# -- (.+?) -+$")
_VARIABLE = re.compile(r"([A-Z_]+)=(.*)$")


@dataclass
class _Described:
    """One setting of the sample, with the lines in front of it."""

    section: str
    name: str
    default: str
    lines: list[str]


def page() -> str:
    """The text of docs/reference/settings.md."""
    parts = [HEADER]
    section = ""
    for each in _described(SAMPLE.read_text("utf-8")):
        if each.section != section:
            section = each.section
            parts.append(f"## {section}\n")
        parts.append(f"### `{each.name}`\n")
        parts.append(f"{_facts(each)}\n")
        parts.append(re.sub("\n{3,}", "\n\n", "\n".join(_paragraphs(each.lines)).strip()) + "\n")
    return "\n".join(parts)


def _described(sample: str) -> Iterator[_Described]:
    section, comment = "", list[str]()
    for line in sample.splitlines():
        if match := _SECTION.match(line):
            section, comment = match[1], []
        elif match := _VARIABLE.match(line):
            yield _Described(section, match[1], match[2], comment)
            comment = []
        elif line.startswith("#"):
            comment.append(line[1:].removeprefix(" "))


def _facts(described: _Described) -> str:
    """Default and bound, on one line."""
    known = {each.name.upper(): each for each in fields(Settings)}[described.name]
    is_needed = known.default is MISSING
    default = "Required" if is_needed else f"Default: `{described.default}`" if described.default else "Default: empty"
    rule = known.metadata.get("rule")
    return f"{default}. Expected: {rule.expected}." if rule is not None else f"{default}."


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Markdown of a comment: what is indented in it is an example."""
    for is_example, group in groupby(lines, key=lambda line: line.startswith("  ")):
        if is_example:
            yield from ("", "```ini", *(line.strip() for line in group), "```", "")
        else:
            yield from (line for line in group if line != "Required.")
