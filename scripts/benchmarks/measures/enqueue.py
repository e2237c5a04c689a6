"""How fast are jobs stored, one at a time and in bulk?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ..contenders import DRAMATIQ_POSTGRES, LEASEQUEUE, Contender
from ..figures import Answer, Samples
from ..laboratory import Laboratory
from ..processes import Process
from ..same_statement import enqueue_statement

ONE = "1 caller"
THREADS = "8 callers, threads"
PROCESSES = "8 callers, processes"
FLOOR = "pgbench, same INSERT"
CLIENTS = "8 clients"

#: Callers in one process, and processes.
CALLERS = 8

#: Turns that everybody takes in a round: a disk has good and bad seconds, and short turns share them fairly.
TURNS = 4

#: Of the goals: what a client in Python may lose against one in C, alone and eight of them beside the server.
SHARE_OF_PGBENCH = 0.8
SHARE_OF_PGBENCH_CROWDED = 0.6
TIMES_NEAREST_RELATIVE = 2.5
BULK_RATE = 50_000.0


@dataclass(frozen=True)
class Caller:
    """Somebody who waits for his turn to send."""

    name: str
    setting: str
    #: Sends the jobs of one turn and returns how many that were a second.
    send: Callable[[], float]


def enqueue(lab: Laboratory) -> list[Answer]:
    """Single sends by one caller and by eight, against pgbench with the same statement on the same table."""
    one, eight = Samples("jobs/s"), Samples("jobs/s")
    for _ in range(lab.scale.rounds):
        with ExitStack() as stack:
            _take_turns(lab, _callers(lab, stack, 1, lab.scale.sent_by_one // TURNS), one)
        with ExitStack() as stack:
            _take_turns(lab, _callers(lab, stack, CALLERS, lab.scale.sent_by_eight // TURNS), eight)
    alone = Answer("enqueue-1", "How many jobs a second does one caller store?", one.figures())
    ours = alone.median(LEASEQUEUE.name, ONE)
    alone.compare("leasequeue / pgbench, 1 client", ours, alone.median(FLOOR, ONE), SHARE_OF_PGBENCH)
    relative = alone.median(DRAMATIQ_POSTGRES.name, ONE)
    alone.compare("leasequeue / dramatiq-postgres, 1 caller", ours, relative, TIMES_NEAREST_RELATIVE)
    crowd = Answer("enqueue-8", "How many jobs a second do eight callers store?", eight.figures())
    for setting in (THREADS, PROCESSES):
        ours = crowd.median(LEASEQUEUE.name, setting)
        what = f"leasequeue, {setting} / pgbench, {CLIENTS}"
        crowd.compare(what, ours, crowd.median(FLOOR, CLIENTS), SHARE_OF_PGBENCH_CROWDED)
    return [alone, crowd]


def bulk(lab: Laboratory) -> list[Answer]:
    """One call that stores many jobs."""
    samples = Samples("jobs/s")
    for _ in range(lab.scale.rounds):
        for contender in lab.contenders:
            if contender.sends and contender.bulk:
                with lab.excusing(contender), lab.database(contender) as url:
                    lab.settle()
                    samples.add(contender.name, "one call", lab.put(contender, url, lab.scale.sent_in_bulk))
    answer = Answer("bulk", "How many jobs a second does one bulk send store?", samples.figures())
    answer.expect("leasequeue, jobs/s", answer.median(LEASEQUEUE.name, "one call"), BULK_RATE, "at least")
    return [answer]


def _take_turns(lab: Laboratory, callers: list[Caller], samples: Samples) -> None:
    lab.settle()
    for _ in range(TURNS):
        for caller in callers:
            samples.add(caller.name, caller.setting, caller.send())


def _callers(lab: Laboratory, stack: ExitStack, count: int, jobs: int) -> list[Caller]:
    """Everybody who sends, as `count` callers that share the jobs of a turn; connections are made."""
    url = stack.enter_context(lab.database())
    statement = enqueue_statement(url)
    setting = ONE if count == 1 else THREADS
    callers = [
        Caller(
            FLOOR,
            ONE if count == 1 else CLIENTS,
            lambda: lab.pgbench.rate(url, statement, clients=count, transactions=jobs),
        ),
        _caller(lab, stack, LEASEQUEUE, url, setting, jobs, callers=count),
    ]
    if count > 1:
        callers.append(_caller(lab, stack, LEASEQUEUE, url, PROCESSES, jobs, processes=count))
    for contender in lab.contenders:
        if contender.sends and contender is not LEASEQUEUE:
            with lab.excusing(contender):
                its_url = stack.enter_context(lab.database(contender))
                callers.append(_caller(lab, stack, contender, its_url, setting, jobs, callers=count))
    return callers


def _caller(
    lab: Laboratory,
    stack: ExitStack,
    contender: Contender,
    url: str,
    setting: str,
    jobs: int,
    *,
    callers: int = 1,
    processes: int = 1,
) -> Caller:
    """A contender's callers, who share the jobs of a turn."""
    senders = [
        stack.enter_context(lab.start(contender, "enqueue", url, jobs=jobs // processes, callers=callers))
        for _ in range(processes)
    ]
    for sender in senders:
        sender.wait_ready()
    return Caller(contender.name, setting, lambda: _send(senders, jobs))


def _send(senders: list[Process], jobs: int) -> float:
    """Jobs a second, from the first caller's start to the last one's end."""
    for sender in senders:
        sender.tell("go")
    answers = [sender.answer() for sender in senders]
    started = min(answer["started"] for answer in answers)
    return float(jobs / (max(answer["ended"] for answer in answers) - started))
