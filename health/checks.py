"""What each route asks, and what the answers mean."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from leasequeue import DatabaseUnavailable, LeaseBroker, QueueError, SchemaMissing
from leasequeue.admin.health import CLAIMS_WITHIN, HealthFacts, HealthQuestion, WorkerHealth
from leasequeue.vitals import Pulse, read_pulses

from .shared import Shared

#: Seconds for the question to the database, connecting included.
QUESTION_WITHIN = 1.0

#: Seconds after which an answer leaves without it: a name server that hangs is the one thing that no deadline reaches.
ANSWER_WITHIN = 1.5

#: Seconds for which an answer of the database, and a look at the processes of this machine, are good for everybody.
KEEP_FACTS = 1.0
KEEP_PULSES = 0.2

#: Seconds for which an answer of the database is given while it is asked again, so that nobody waits for it: as long as
#: the question may take. What is true of the database is told after as many seconds.
KEEP_MEANWHILE = KEEP_FACTS + QUESTION_WITHIN


class Scope(Enum):
    """Whose workers decide whether the queue is ready."""

    #: The worker processes of this machine: for a sidecar, whose answer decides about that machine.
    MACHINE = "machine"
    #: Any worker, as the database knows them: for an API, which has none of its own.
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: a stable code for machines, a text for people."""

    code: str
    text: str


@dataclass(slots=True)
class Verdict:
    """The answer to one probe. It is good when there are no reasons against it."""

    reasons: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    #: None: not asked, or no answer.
    facts: HealthFacts | None = None
    #: Seconds since the facts were true.
    age_seconds: float | None = None

    @property
    def is_good(self) -> bool:
        return not self.reasons


class Checks:
    """The four questions of probes, about one broker's queue.

    Parameters:
      stalled_after: seconds that ready jobs may wait while nothing moves anywhere.
      parent_pid: only the worker processes of this dramatiq master count as this machine's; None: all of them.
    """

    def __init__(
        self,
        broker: LeaseBroker,
        *,
        scope: Scope,
        stalled_after: float,
        parent_pid: int | None = None,
    ) -> None:
        self.broker = broker
        self.scope = scope
        self._stalled_after = stalled_after
        self._parent_pid = parent_pid
        self._has_started = False
        question = HealthQuestion(broker)
        self._facts = Shared(
            lambda: question.ask(QUESTION_WITHIN), keep=KEEP_FACTS, within=ANSWER_WITHIN, meanwhile=KEEP_MEANWHILE
        )
        self._pulses: list[Pulse] = []
        self._pulses_at = float("-inf")

    @property
    def stuck_after(self) -> float:
        """Seconds without a sign of life after which a loop or a process has to be replaced."""
        return self.broker.policy.stuck_after

    def pulses(self) -> list[Pulse]:
        """The living worker processes of this machine; none where they tell nothing."""
        now = time.monotonic()
        directory = self.broker.facts_directory
        if directory is not None and now - self._pulses_at >= KEEP_PULSES:
            self._pulses, self._pulses_at = read_pulses(directory, self._parent_pid), now
        return self._pulses

    # The routes.

    def live(self) -> Verdict:
        """Can the worker processes of this machine go on? Asks no database, whose outage no restart would end."""
        verdict = Verdict(pulses=self.pulses())
        for pulse in verdict.pulses:
            trouble = pulse.trouble(self.stuck_after)
            if trouble is not None:
                verdict.reasons.append(Finding("worker_wedged", f"worker process {pulse.pid}: {trouble}"))
        verdict.warnings += self._process_warnings(verdict.pulses)
        return verdict

    async def startup(self) -> Verdict:
        """Has it begun? Stays good once it was: what happens later is for the other routes to say."""
        verdict = Verdict(pulses=self.pulses())
        if self._has_started:
            return verdict
        if self.scope is Scope.MACHINE:
            if not verdict.pulses:
                verdict.reasons.append(_NO_PROCESS)
        else:
            await self._ask_database(verdict)
        self._has_started = verdict.is_good
        return verdict

    async def ready(self) -> Verdict:
        """Does this place do its part: database there and writable, schema right, workers claiming, not draining?"""
        verdict = Verdict(pulses=self.pulses())
        await self._ask_database(verdict)
        verdict.reasons += self._machine_reasons(verdict) if self.scope is Scope.MACHINE else _queue_reasons(verdict)
        verdict.warnings += self._process_warnings(verdict.pulses)
        verdict.warnings += self._worker_warnings(verdict)
        self._has_started = self._has_started or verdict.is_good
        return verdict

    async def health(self) -> Verdict:
        """Everything that :meth:`ready` asks, and: does the queue move?"""
        verdict = await self.ready()
        facts = verdict.facts
        if facts is None:
            return verdict
        stalled = facts.stalled(self._stalled_after)
        if stalled is not None:
            verdict.reasons.append(Finding("stalled", stalled))
        for queue in facts.queues:
            if queue.dead:
                verdict.warnings.append(Finding("dead_letters", f"queue {queue.name} has {queue.dead} dead letters"))
        for queue in facts.unconsumed(self._stalled_after):
            text = f"{queue.ready} jobs are ready in queue {queue.name}, from which no worker takes"
            verdict.warnings.append(Finding("queue_not_consumed", text))
        return verdict

    # What they are made of.

    async def _ask_database(self, verdict: Verdict) -> None:
        try:
            verdict.facts, verdict.age_seconds = await self._facts.get()
        except TimeoutError:
            verdict.reasons.append(Finding("database_unavailable", "the database did not answer in time"))
        except DatabaseUnavailable as error:
            verdict.reasons.append(Finding("database_unavailable", str(error)))
        except SchemaMissing as error:
            verdict.reasons.append(Finding("schema_missing", f"schema {self.broker.schema}: {error}"))
        except QueueError as error:
            verdict.reasons.append(Finding("database_refuses", str(error)))
        else:
            verdict.reasons += _database_reasons(verdict.facts)

    def _machine_reasons(self, verdict: Verdict) -> Iterator[Finding]:
        pulses = verdict.pulses
        if not pulses:
            yield _NO_PROCESS
        elif all(pulse.state(self.stuck_after) == "draining" for pulse in pulses):
            yield Finding("draining", f"all {len(pulses)} worker processes of this machine are draining")
        elif not any(self._claims(pulse) for pulse in pulses):
            states = ", ".join(f"{pulse.pid} {self._condition(pulse)}" for pulse in pulses)
            yield Finding("not_claiming", f"no worker process of this machine claims: {states}")

    def _claims(self, pulse: Pulse) -> bool:
        loop = pulse.loops.get("claim")
        within = self.broker.policy.poll_interval + CLAIMS_WITHIN
        return pulse.state(self.stuck_after) == "working" and loop is not None and loop.good_seconds <= within

    def _condition(self, pulse: Pulse) -> str:
        state = pulse.state(self.stuck_after)
        if state != "working":
            return f"is {state}"
        loop = pulse.loops.get("claim")
        return "does not claim" if loop is None else f"has claimed without success for {loop.good_seconds:.0f} s"

    def _worker_warnings(self, verdict: Verdict) -> Iterator[Finding]:
        """What is meant so, or has to be lived with, and yet explains why jobs wait."""
        facts = verdict.facts
        workers: Sequence[Pulse | WorkerHealth] = verdict.pulses
        if self.scope is Scope.QUEUE:
            workers = facts.workers if facts is not None else []
        if disabled := sum(not worker.claiming for worker in workers):
            text = f"{disabled} of {len(workers)} worker processes are paused by QUEUE_ENABLED: they start no jobs"
            yield Finding("queue_disabled", f"{text}, which are kept")
        if deaf := sum(worker.notified is False for worker in workers):
            within = self.broker.policy.poll_interval
            text = f"{deaf} of {len(workers)} worker processes find jobs by polling, within {within:g} s"
            yield Finding("polling", f"{text}: no notification reaches them")

    def _process_warnings(self, pulses: list[Pulse]) -> Iterator[Finding]:
        for pulse in pulses:
            state = pulse.state(self.stuck_after)
            if state in ("silent", "wedged"):
                yield Finding(f"worker_{state}", f"worker process {pulse.pid} is {state}")
            if pulse.live_threads < pulse.threads:
                text = (
                    f"worker process {pulse.pid} has {pulse.live_threads} threads, it was started with {pulse.threads}"
                )
                yield Finding("threads_ended", text)
            if pulse.stuck_jobs:
                text = f"worker process {pulse.pid} has {pulse.stuck_jobs} jobs past their time limit"
                yield Finding("stuck_jobs", text)


_NO_PROCESS = Finding("no_worker", "no worker process runs on this machine")


def _database_reasons(facts: HealthFacts) -> Iterator[Finding]:
    if not facts.writable:
        yield Finding("database_read_only", "the database is read-only: a standby, or told to refuse writes")
    expected, version = facts.schema_version_expected, facts.schema_version
    if version != expected:
        advice = "run indexq migrate" if version < expected else "deploy the release that made it"
        text = f"expected schema {facts.schema} to have version {expected}, got: {version}; {advice}"
        yield Finding("schema_version", text)


def _queue_reasons(verdict: Verdict) -> Iterator[Finding]:
    if verdict.facts is None:
        return
    workers = verdict.facts.workers
    if not workers:
        yield Finding("no_worker", "no worker lives anywhere")
    elif all(worker.draining for worker in workers):
        yield Finding("draining", f"all {len(workers)} workers are draining")
