"""The one JSON shape of all answers; ``openapi.json`` describes it, and a test holds the two together."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from leasequeue.admin.health import HealthFacts
from leasequeue.vitals import Pulse

from .checks import Finding, Verdict

#: Decimals of seconds: nobody decides by less than a millisecond.
DECIMALS = 3


def describe(verdict: Verdict, *, stuck_after: float, with_queue: bool) -> dict[str, Any]:
    """The answer to a probe. Times are seconds. ``null``: not asked by this route, or not known.

    Parameters:
      with_queue: whether queues and workers are part of it.
    """
    facts = verdict.facts
    return {
        "status": "ok" if verdict.is_good else "unavailable",
        "reasons": [_finding(each) for each in verdict.reasons],
        "warnings": [_finding(each) for each in verdict.warnings],
        "processes": [_process(pulse, stuck_after) for pulse in verdict.pulses],
        "database": None if facts is None else _database(facts),
        "schema": None if facts is None else _schema(facts),
        "queues": None if facts is None or not with_queue else _queues(facts),
        "workers": None if facts is None or not with_queue else _workers(facts),
        "age_seconds": _seconds(verdict.age_seconds),
    }


def refusal(code: str, text: str) -> dict[str, Any]:
    """The answer to a request that is none of the routes: the same shape, with its reason."""
    document = describe(Verdict(), stuck_after=0.0, with_queue=False)
    return {**document, "status": "error", "reasons": [_finding(Finding(code, text))]}


def _finding(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "text": finding.text}


def _process(pulse: Pulse, stuck_after: float) -> dict[str, Any]:
    return {
        "pid": pulse.pid,
        "state": pulse.state(stuck_after),
        "beat_seconds": _seconds(pulse.beat_seconds),
        "threads": pulse.threads,
        "live_threads": pulse.live_threads,
        "running": pulse.running,
        "stuck_jobs": pulse.stuck_jobs,
        "claiming": pulse.claiming,
        "notified": pulse.notified,
        "loops": {
            name: {"tick_seconds": _seconds(loop.tick_seconds), "good_seconds": _seconds(loop.good_seconds)}
            for name, loop in pulse.loops.items()
        },
    }


def _database(facts: HealthFacts) -> dict[str, Any]:
    return {
        "reachable": True,
        "writable": facts.writable,
        "answered_in_seconds": _seconds(facts.answered_in_seconds),
    }


def _schema(facts: HealthFacts) -> dict[str, Any]:
    return {
        "name": facts.schema,
        "version": facts.schema_version,
        "expected": facts.schema_version_expected,
    }


def _queues(facts: HealthFacts) -> dict[str, Any]:
    shown = {queue.name: asdict(queue) for queue in facts.queues}
    for queue in shown.values():
        del queue["name"]
        queue["oldest_ready_seconds"] = _seconds(queue["oldest_ready_seconds"])
    return shown


def _workers(facts: HealthFacts) -> list[dict[str, Any]]:
    return [
        {
            "host": worker.host,
            "pid": worker.pid,
            "threads": worker.threads,
            "live_threads": worker.live_threads,
            "holds": worker.holds,
            "draining": worker.draining,
            "claiming": worker.claiming,
            "notified": worker.notified,
            "silent_seconds": _seconds(worker.silent_seconds),
        }
        for worker in facts.workers
    ]


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
