"""How long does a single job wait before an idle worker starts it?"""

from __future__ import annotations

from ..contenders import LEASEQUEUE, PGQUEUER, STUB, Contender
from ..figures import Answer, Samples
from ..laboratory import Laboratory

#: Of the goals, on a quiet machine (milliseconds).
P50_MS = 3.0
P99_MS = 15.0

#: Jobs that run before those that count: the first ones pay for connections and imports.
WARM_UP = 5


def latency(lab: Laboratory) -> list[Answer]:
    """From the call of send() in one process to the first line of the job in another, with pauses between jobs."""
    samples = Samples("ms")
    for _ in range(lab.scale.rounds):
        for contender in lab.contenders:
            with lab.excusing(contender):
                waits = sorted(_waits(lab, contender))
                for setting, share in (("p50", 0.5), ("p99", 0.99)):
                    samples.add(contender.name, setting, waits[int(share * (len(waits) - 1))] / 1e6)
    answer = Answer("latency", "How long does a job wait for an idle worker?", samples.figures())
    for setting, bound in (("p50", P50_MS), ("p99", P99_MS)):
        ours = answer.median(LEASEQUEUE.name, setting)
        answer.expect(f"leasequeue {setting}, ms (quiet machine)", ours, bound, "at most")
        answer.compare(f"leasequeue / pgqueuer, {setting}", ours, answer.median(PGQUEUER.name, setting), 1.0, "at most")
    return [answer]


def _waits(lab: Laboratory, contender: Contender) -> list[int]:
    """Nanoseconds that each job waited."""
    jobs, pause = lab.scale.paced + WARM_UP, lab.scale.pause
    with lab.database(contender) as url:
        if contender is STUB:
            with lab.start(contender, "paced", url, jobs=jobs, pause=pause) as both:
                both.wait_ready().ask("go")
                return list(both.ask("stop")["waits_ns"][WARM_UP:])
        tally = lab.tally()
        with (
            lab.start(contender, "work", url, tally=lab.tally_file) as worker,
            lab.start(contender, "paced", url, jobs=jobs, pause=pause) as sender,
        ):
            worker.wait_ready().ask("go")
            sender.wait_ready().ask("go")
            lab.wait_for(tally, jobs)
            return list(worker.ask("stop")["waits_ns"][WARM_UP:])
