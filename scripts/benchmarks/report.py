"""Answers as tables for people and as JSON for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .contenders import Contender, PeerUnavailable
from .figures import Answer, Goal
from .laboratory import Laboratory

#: Packages of our own environment whose versions a figure depends on.
PACKAGES = ("dramatiq", "dramatiq-pg", "psycopg2-binary")


def show(answer: Answer, console: Console) -> None:
    """Print one answer."""
    table = Table(title=answer.question, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("setting")
    table.add_column("median", justify="right")
    table.add_column("min - max", justify="right")
    table.add_column("")
    for figure in answer.figures:
        spread = "" if len(figure.samples) == 1 else f"{number(figure.low)} - {number(figure.high)}"
        table.add_row(figure.contender, figure.setting, number(figure.median), spread, figure.unit)
    console.print(table)
    for goal in answer.goals:
        say_goal(" ", goal, console)
    for note in answer.notes:
        console.print(f"  note: {note}", highlight=False, markup=False)
    console.print()


def say_goal(label: str, goal: Goal, console: Console) -> None:
    """Print one goal with its value, and whether it was reached."""
    verdict = "reached" if goal.met else "MISSED"
    line = f"{label} {verdict:8} {goal.what}: {number(goal.value)} (goal: {goal.sense} {number(goal.bound)})"
    console.print(line, style="green" if goal.met else "red", highlight=False, soft_wrap=True)


def number(value: float) -> str:
    """Three digits that mean something."""
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def as_json(answers: list[Answer], lab: Laboratory, load: float) -> dict[str, Any]:
    """Everything that was measured, and on what. `load`: the machine's average load before the run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "system": platform.system(),
            "machine": platform.machine(),
            "load_before": round(load, 2),
        },
        "versions": {
            "python": platform.python_version(),
            "postgres": lab.query(lab.server.url, "SHOW server_version")[0][0],
            **{name: importlib.metadata.version(name) for name in PACKAGES},
            "peers": {
                contender.name: _peer_versions(lab, contender) for contender in lab.contenders if contender.packages
            },
        },
        "postgres_settings": dict(
            lab.query(lab.server.url, "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", (_SETTINGS,))
        ),
        "scale": vars(lab.scale),
        "answers": [_answer_as_json(answer) for answer in answers],
    }


_SETTINGS = ["fsync", "synchronous_commit", "shared_buffers", "wal_level", "max_wal_size", "full_page_writes"]


def write_json(report: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _peer_versions(lab: Laboratory, contender: Contender) -> dict[str, str]:
    try:
        return lab.environments.versions(contender)
    except PeerUnavailable:
        return {}


def _answer_as_json(answer: Answer) -> dict[str, Any]:
    return {
        "name": answer.name,
        "question": answer.question,
        "figures": [
            {
                "contender": figure.contender,
                "setting": figure.setting,
                "unit": figure.unit,
                "median": figure.median,
                "samples": list(figure.samples),
            }
            for figure in answer.figures
        ],
        "goals": [
            {"what": goal.what, "value": goal.value, "sense": goal.sense, "bound": goal.bound, "met": goal.met}
            for goal in answer.goals
        ],
        "notes": answer.notes,
    }
