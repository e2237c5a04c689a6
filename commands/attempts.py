"""Earlier runs of a job, for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .output import local_time


def attempt_line(attempt: Any) -> str:
    """When a run ended, how, where, and its error, as far as that is known: an import may hold anything."""
    if not isinstance(attempt, dict):
        return str(attempt)
    told = (_ended(attempt), attempt.get("outcome"), attempt.get("worker"), attempt.get("error"))
    return "  ".join(str(each) for each in told if each)


def _ended(attempt: dict[str, Any]) -> str:
    try:
        return local_time(datetime.fromisoformat(str(attempt.get("ended"))))
    except ValueError:
        return ""
