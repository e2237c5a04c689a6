"""The two tables in docs/metrics.md: names and labels are the code's, what they mean is written by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily

from health import metrics

HEAD_MACHINE = ("| metric | labels beside `process` | what it is |", "|---|---|---|")
HEAD_QUEUE = ("| metric | labels | what it is |", "|---|---|---|")

_ROW = re.compile(r"\| `([a-z_]+)` \|[^|]*\| (.*) \|$")


def table_of_machine(present: str) -> str:
    """What each process counts and is."""
    counted = [
        (f"{metrics.PREFIX}{name}{'_total' if kind is CounterMetricFamily else ''}", labels)
        for name, (kind, labels, _) in metrics.COUNTED.items()
    ]
    gauges = [(name, labels[1:]) for name, labels in _gauges() if "process" in labels]
    return _table(HEAD_MACHINE, [*counted, *gauges], present)


def table_of_queue(present: str) -> str:
    """How the queue stands."""
    return _table(HEAD_QUEUE, [each for each in _gauges() if "process" not in each[1]], present)


def _table(head: tuple[str, str], found: list[tuple[str, tuple[str, ...]]], present: str) -> str:
    meanings = {match[1]: match[2] for line in present.splitlines() if (match := _ROW.match(line))}
    rows = [
        f"| `{name}` |{''.join(f' {label},' for label in labels).removesuffix(',')} | {meanings.get(name, '')} |"
        for name, labels in found
    ]
    return "\n".join([*head, *rows])


def _gauges() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and labels of each call of ``_gauge(name, help, *labels)``, in the order of the file."""
    calls = [
        node
        for node in ast.walk(ast.parse(Path(metrics.__file__).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_gauge"
    ]
    for call in sorted(calls, key=lambda node: node.lineno):
        name, _, *labels = call.args
        yield metrics.PREFIX + ast.literal_eval(name), tuple(ast.literal_eval(label) for label in labels)
