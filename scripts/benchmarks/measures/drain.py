"""How fast are stored jobs run?"""

from __future__ import annotations

from collections.abc import Iterator

from ..contenders import DRAMATIQ_POSTGRES, LEASEQUEUE, PGQUEUER_BATCH, STUB, Contender
from ..figures import Answer, Samples
from ..laboratory import Laboratory

#: Of the goals.
SHARE_OF_STUB = 0.8
TIMES_NEAREST_RELATIVE = 5.0
TWO_PROCESSES_GAIN = 1.3

#: (processes, threads of each).
ALONE_FEW, ALONE_MANY, TWO = (1, 3), (1, 8), (2, 8)


def drain(lab: Laboratory) -> list[Answer]:
    """No-op jobs that wait in the table, from the start of the workers until the last one ran and is gone."""
    samples = Samples("jobs/s")
    for _ in range(lab.scale.rounds):
        for contender in lab.contenders:
            for processes, threads in _settings(contender):
                with lab.excusing(contender):
                    rate = _rate(lab, contender, processes, threads)
                    samples.add(contender.name, _name(contender, processes, threads), rate)
    answer = Answer("drain", "How many no-op jobs a second are run?", samples.figures())
    many = answer.median(LEASEQUEUE.name, _name(LEASEQUEUE, *ALONE_MANY))
    for setting in (ALONE_FEW, ALONE_MANY):
        ours = answer.median(LEASEQUEUE.name, _name(LEASEQUEUE, *setting))
        ceiling = answer.median(STUB.name, _name(STUB, *setting))
        answer.compare(f"leasequeue / StubBroker, {setting[1]} threads", ours, ceiling, SHARE_OF_STUB)
    relative = answer.median(DRAMATIQ_POSTGRES.name, _name(DRAMATIQ_POSTGRES, *ALONE_MANY))
    answer.compare("leasequeue / dramatiq-postgres, 1 process", many, relative, TIMES_NEAREST_RELATIVE)
    batch = answer.median(PGQUEUER_BATCH.name, _name(PGQUEUER_BATCH, *ALONE_MANY))
    answer.compare("leasequeue / pgqueuer with batches, 1 process", many, batch, 1.0)
    two = answer.median(LEASEQUEUE.name, _name(LEASEQUEUE, *TWO))
    answer.compare("leasequeue, 2 processes / 1 process", two, many, TWO_PROCESSES_GAIN)
    return [answer]


def _settings(contender: Contender) -> Iterator[tuple[int, int]]:
    if contender in (STUB, LEASEQUEUE):
        yield ALONE_FEW
    yield ALONE_MANY
    if contender.unfinished is not None:
        yield TWO


def _rate(lab: Laboratory, contender: Contender, processes: int, threads: int) -> float:
    jobs = lab.scale.drained_slowly if contender.slow else lab.scale.drained
    with lab.database(contender) as url:
        if contender.unfinished is not None:
            lab.put(contender, url, jobs)
            lab.settle()
        seconds, _ = lab.drain(contender, url, jobs, processes=processes, threads=threads)
    return jobs / seconds


def _name(contender: Contender, processes: int, threads: int) -> str:
    group = "1 process" if processes == 1 else f"{processes} processes"
    return f"{group}, {threads} threads" if contender.threads else group
