"""Does the application's own work suffer while the queue is in use beside it?"""

from __future__ import annotations

from contextlib import ExitStack

from ..contenders import LEASEQUEUE
from ..figures import Answer, Samples
from ..laboratory import Laboratory

#: The application: clients of pgbench that commit small rows into a table of their own.
CLIENTS = 32
APPLICATION = "INSERT INTO entry (at, note) VALUES (now(), 'something that happened')"

#: Jobs a second that are sent, one by one, and run meanwhile.
FED = 500

#: Processes that send: a send that takes its time on a busy server shall not hold up the pace.
SENDERS = 2

#: Of the goal: the application's rate beside the queue against its rate alone.
SHARE_KEPT = 0.9

ALONE, FED_ONLY, BESIDE = "alone", f"{FED} jobs/s are sent", f"{FED} jobs/s are sent and run"


def neighbour(lab: Laboratory) -> list[Answer]:
    """Commits a second of an application with 32 clients: alone, while jobs are sent, while they are run as well."""
    samples = Samples("commits/s")
    fed = Samples("jobs/s")
    for _ in range(lab.scale.rounds):
        with lab.database() as url:
            lab.query(url, "CREATE TABLE entry (id bigserial PRIMARY KEY, at timestamptz NOT NULL, note text NOT NULL)")
            lab.settle()
            samples.add("application", ALONE, _rate(lab, url))
            lab.settle()
            samples.add("application", FED_ONLY, _rate_beside(lab, url, with_worker=False)[0])
            lab.settle()
            rate, jobs = _rate_beside(lab, url, with_worker=True)
            samples.add("application", BESIDE, rate)
            fed.add(LEASEQUEUE.name, "run meanwhile", jobs)
    answer = Answer(
        "neighbour",
        "What does an application keep of its commits beside the queue?",
        [*samples.figures(), *fed.figures()],
    )
    alone = answer.median("application", ALONE)
    for setting in (FED_ONLY, BESIDE):
        answer.compare(f"application while {setting} / alone", answer.median("application", setting), alone, SHARE_KEPT)
    return [answer]


def _rate(lab: Laboratory, url: str) -> float:
    seconds = lab.scale.neighbour_seconds
    process = lab.pgbench.start(url, APPLICATION, clients=CLIENTS, stop=("-T", f"{seconds:.0f}"))
    return lab.pgbench.result(process, seconds + 60)


def _rate_beside(lab: Laboratory, url: str, *, with_worker: bool) -> tuple[float, float]:
    """The application's rate, and how many jobs a second ran meanwhile."""
    tally = lab.tally()
    with ExitStack() as stack:
        if with_worker:
            stack.enter_context(lab.start(LEASEQUEUE, "work", url, tally=lab.tally_file)).wait_ready().ask("go")
        feeders = [stack.enter_context(lab.start(LEASEQUEUE, "feed", url, rate=FED / SENDERS)) for _ in range(SENDERS)]
        for feeder in feeders:
            feeder.wait_ready().ask("go")
        if with_worker:
            lab.wait_for(tally, FED // 2)  # it runs
        before = tally.total()
        rate = _rate(lab, url)
        return rate, (tally.total() - before) / lab.scale.neighbour_seconds
