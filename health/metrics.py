"""Figures for Prometheus: what the processes of this machine did, and, from one place, how the whole queue stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from leasequeue.admin.health import HealthFacts, TableFacts
from leasequeue.meter import Reading
from leasequeue.vitals import Pulse

PREFIX = "leasequeue_"

Kind = type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]

#: What processes count: name, kind, labels beside the process, help. Counters get ``_total`` behind their name.
COUNTED: dict[str, tuple[Kind, tuple[str, ...], str]] = {
    "jobs_enqueued": (CounterMetricFamily, ("queue", "actor"), "Jobs sent."),
    "jobs_claimed": (CounterMetricFamily, (), "Jobs claimed."),
    "jobs_finished": (CounterMetricFamily, ("queue", "actor", "outcome"), "Runs that ended, by outcome."),
    "job_run_seconds": (HistogramMetricFamily, ("queue", "actor"), "Seconds that runs took."),
    "job_waiting_seconds": (HistogramMetricFamily, ("queue", "actor"), "Seconds between due and claimed."),
    "jobs_rescued": (CounterMetricFamily, (), "Jobs of dead workers that were given to others."),
    "leases_lost": (CounterMetricFamily, (), "Runs that lost their job to another worker."),
    "loop_rounds": (CounterMetricFamily, ("loop", "result"), "Rounds of the background loops, good or failed."),
    "database_call_seconds": (HistogramMetricFamily, ("loop",), "Seconds until the database answered a loop."),
    "sender_sessions": (GaugeMetricFamily, ("state",), "Sessions of threads that send or ask, used or free."),
}


class _Given(Collector):
    """A collector of metrics that were made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def expose(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The text of metrics, and its content type, as the ``Accept`` header asks for it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(list(families)))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def of_machine(readings: Iterable[Reading], pulses: Iterable[Pulse], stuck_after: float) -> Iterator[Metric]:
    """What each process of this machine counted, and how it is. Each has the label ``process``, its id."""
    families: dict[str, Any] = {
        name: kind(PREFIX + name, text, labels=("process", *labels)) for name, (kind, labels, text) in COUNTED.items()
    }
    for reading in readings:
        for name, labels, value in reading.figures:
            if name in COUNTED:
                values = [str(reading.pid), *(labels[label] for label in COUNTED[name][1])]
                _add(families[name], values, value)
    yield from families.values()
    yield from _processes(list(pulses), stuck_after)


def _add(family: Any, labels: list[str], value: Any) -> None:
    if isinstance(family, HistogramMetricFamily):
        bounds, counts, total = value
        buckets = zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True)
        family.add_metric(labels, [(bound, float(count)) for bound, count in buckets], total)
    else:
        family.add_metric(labels, value)


def _processes(pulses: list[Pulse], stuck_after: float) -> Iterator[Metric]:
    state = _gauge("process_state", "1 for the state of a worker process.", "process", "state")
    threads = _gauge("process_threads", "Threads that a worker process was started with.", "process")
    live = _gauge("process_threads_live", "Threads of it that are alive.", "process")
    running = _gauge("process_jobs_running", "Jobs that a worker process runs.", "process")
    stuck = _gauge("process_jobs_stuck", "Jobs that run beyond their time limit.", "process")
    silent = _gauge("loop_silent_seconds", "Seconds since the last sign of life of a loop.", "process", "loop")
    good = _gauge("loop_good_seconds", "Seconds since the last good round of a loop.", "process", "loop")
    for pulse in pulses:
        process = str(pulse.pid)
        state.add_metric([process, pulse.state(stuck_after)], 1)
        threads.add_metric([process], pulse.threads)
        live.add_metric([process], pulse.live_threads)
        running.add_metric([process], pulse.running)
        stuck.add_metric([process], pulse.stuck_jobs)
        for name, loop in pulse.loops.items():
            silent.add_metric([process, name], loop.tick_seconds)
            good.add_metric([process, name], loop.good_seconds)
    yield from (state, threads, live, running, stuck, silent, good)


def of_queue(facts: HealthFacts | None, tables: Iterable[TableFacts]) -> Iterator[Metric]:
    """How the whole queue stands. From one place: these are not to be added up over machines.

    Without facts, because the database does not answer, only that is told.
    """
    up = _gauge("database_up", "Whether the database answered.")
    up.add_metric([], 0 if facts is None else 1)
    yield up
    if facts is None:
        return
    jobs = _gauge("queue_jobs", "Jobs by state; counting stops at 100,000.", "queue", "state")
    oldest = _gauge("queue_oldest_ready_seconds", "Seconds for which the oldest ready job has been due.", "queue")
    for queue in facts.queues:
        for state in ("ready", "scheduled", "running", "dead"):
            jobs.add_metric([queue.name, state], getattr(queue, state))
        oldest.add_metric([queue.name], queue.oldest_ready_seconds or 0.0)
    workers = _gauge("workers", "Living worker processes.", "state")
    for draining in (False, True):
        count = sum(worker.draining is draining for worker in facts.workers)
        workers.add_metric(["draining" if draining else "working"], count)
    yield from (jobs, oldest, workers)
    if facts.quiet_seconds is not None:
        quiet = _gauge("quiet_seconds", "Seconds since anybody claimed or finished anything, or a worker started.")
        quiet.add_metric([], facts.quiet_seconds)
        yield quiet
    yield from _tables(list(tables))


def _tables(tables: list[TableFacts]) -> Iterator[Metric]:
    size = _gauge("table_bytes", "Bytes of a table with its indexes.", "table")
    rows = _gauge("table_rows", "Rows of a table, live or dead, by the server's statistics.", "table", "kind")
    for table in tables:
        size.add_metric([table.name], table.total_bytes)
        rows.add_metric([table.name, "live"], table.live_rows)
        rows.add_metric([table.name, "dead"], table.dead_rows)
    yield from (size, rows)
    if tables:
        text = "Seconds for which the oldest transaction has kept dead rows from being removed."
        oldest = _gauge("oldest_transaction_seconds", text)
        oldest.add_metric([], tables[0].oldest_transaction_seconds)
        yield oldest


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)
