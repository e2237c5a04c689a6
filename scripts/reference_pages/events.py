"""The table of events in docs/logs.md: names, levels and values are the code's, what they mean is written by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("actors", "health", "indexing", "leasequeue", "logs", "broker.py", "health_app.py")

HEAD = ("| event | level | values | what it means, what to do |", "|---|---|---|---|")

#: From the one that says the least.
LEVELS = ("debug", "info", "warning", "error", "critical")

#: Calls that write a line, and the level of each.
_METHODS = {**{level: level for level in LEVELS}, "exception": "error"}

_EVENT = re.compile(r"([a-z]+(?:_[a-z]+)+)(?=[ :]|$)")
_VALUE = re.compile(r"([a-z_]+)=\S")
_ROW = re.compile(r"\| `([a-z_]+)` \|[^|]*\|[^|]*\| (.*) \|$")


@dataclass
class _Event:
    """What all calls with one name have together."""

    levels: set[str] = field(default_factory=set)
    values: list[str] = field(default_factory=list)


def table(present: str) -> str:
    """The table, in the order of the present one; an event that is new comes last and has no meaning yet."""
    meanings = {match[1]: match[2] for line in present.splitlines() if (match := _ROW.match(line))}
    found = _events()
    order = [*(name for name in meanings if name in found), *(name for name in found if name not in meanings)]
    rows = [
        f"| `{name}` | {_level(found[name])} |{_values(found[name])} | {meanings.get(name, '')} |" for name in order
    ]
    return "\n".join([*HEAD, *rows])


def _level(event: _Event) -> str:
    return ", ".join(sorted(event.levels, key=LEVELS.index))


def _values(event: _Event) -> str:
    return "".join(f" {each}," for each in dict.fromkeys(event.values)).removesuffix(",")


def _events() -> dict[str, _Event]:
    events: dict[str, _Event] = {}
    for template, level in _calls():
        if match := _EVENT.match(template):
            event = events.setdefault(match[1], _Event())
            event.levels.add(level)
            event.values += _VALUE.findall(template)
    return events


def _calls() -> Iterator[tuple[str, str]]:
    """Template and level of every log call of the product, in the order of the files."""
    for room in ROOMS:
        path = ROOT / room
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    named = ast.unparse(node.func.value).rpartition(".")[2] in ("log", "_log", "logger")
                    first, level = node.args[0], _METHODS.get(node.func.attr)
                    if named and level and isinstance(first, ast.Constant) and isinstance(first.value, str):
                        yield first.value, level
