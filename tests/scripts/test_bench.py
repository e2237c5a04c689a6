"""The bench measures what it says, on a server of its own, and leaves nothing behind. Figures are not judged here."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.contenders import DRAMATIQ_PG, LEASEQUEUE, OURS, STUB, Contender, Environments, PeerUnavailable
from benchmarks.figures import Answer, Figure, Goal
from benchmarks.laboratory import Laboratory
from benchmarks.measures import MEASURES
from benchmarks.measures.snapshot import PARTS, rates
from benchmarks.pgbench import PgbenchFailed
from benchmarks.processes import ProgramFailed
from benchmarks.report import as_json, write_json
from benchmarks.scale import Scale
from throwaway_postgres import ThrowawayPostgres

#: The smallest run in which every part of the machinery has something to do.
TINY = Scale(
    rounds=1,
    sent_by_one=40,
    sent_by_eight=160,
    sent_in_bulk=200,
    drained=200,
    drained_slowly=60,
    paced=5,
    pause=0.005,
    backlogs=(200, 400),
    claims=20,
    memory_at=(400,),
    delayed=200,
    behind_snapshot=600,
    snapshot_rounds=1,
    calm_seconds=0.1,
    idle_after=0.1,
    idle_seconds=0.5,
    idle_queues=(1, 3),
    neighbour_seconds=3.0,
)

#: Answers of each measure, and who must be in them.
EXPECTED = {
    "enqueue": {"enqueue-1": {LEASEQUEUE.name, DRAMATIQ_PG.name}, "enqueue-8": {LEASEQUEUE.name, DRAMATIQ_PG.name}},
    "bulk": {"bulk": {LEASEQUEUE.name}},
    "drain": {"drain": {STUB.name, LEASEQUEUE.name, DRAMATIQ_PG.name}},
    "latency": {"latency": {STUB.name, LEASEQUEUE.name, DRAMATIQ_PG.name}},
    "snapshot": {"snapshot": {LEASEQUEUE.name, f"{LEASEQUEUE.name}, snapshot held"}},
    "idle": {"idle": {LEASEQUEUE.name}},
    "neighbour": {"neighbour": {"application", LEASEQUEUE.name}},
    "delayed": {"memory-delayed": {LEASEQUEUE.name}},
    "backlog": {"claim": {"claimed where they wait", "claimed from another queue"}, "memory": {LEASEQUEUE.name}},
}


@pytest.fixture(scope="module")
def bench_server() -> Iterator[ThrowawayPostgres]:
    """Not the server of the other tests: a measure switches autovacuum off, and writes checkpoints."""
    with ThrowawayPostgres() as server:
        yield server


@pytest.fixture
def lab(bench_server: ThrowawayPostgres, tmp_path: Path) -> Laboratory:
    return Laboratory(
        server=bench_server,
        scale=TINY,
        contenders=OURS,
        environments=Environments(tmp_path / "venvs"),
        workplace=tmp_path / "bench",
        say=print,
    )


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_answers_with_figures_for_everybody_and_leaves_no_database_or_process(
    name: str, lab: Laboratory
) -> None:
    answers = MEASURES[name](lab)

    assert {answer.name: {f.contender for f in answer.figures} & expected_of(name, answer) for answer in answers} == (
        EXPECTED[name]
    )
    for answer in answers:
        assert answer.goals, f"{answer.name} is held against nothing"
        samples = [sample for figure in answer.figures for sample in figure.samples]
        assert all(math.isfinite(sample) and sample >= 0 for sample in samples)
        assert all(math.isfinite(goal.value) for goal in answer.goals)
    assert bench_databases(lab) == 0
    assert programs_of_this_process() == []


def expected_of(name: str, answer: Answer) -> set[str]:
    return EXPECTED[name].get(answer.name, set())


def test_every_measure_is_covered_here() -> None:
    assert set(EXPECTED) == set(MEASURES)


def test_a_drain_that_loses_a_job_is_an_error_not_a_figure(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.laboratory.ANSWER_SECONDS", 2.0)
    with lab.database() as url:
        lab.put(LEASEQUEUE, url, 50)

        with pytest.raises(ProgramFailed, match="only 50 of 51 jobs ran"):
            lab.drain(LEASEQUEUE, url, 51)

    assert programs_of_this_process() == []


def test_a_peer_that_fails_costs_its_own_figures_only(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    lab.say = said.append
    broken = Contender("broken", "no_such_program", None, packages=("pip",))
    # Our own interpreter stands in for the peer's: what is tested is its program.
    monkeypatch.setattr(lab.environments, "python", lambda contender: Path(sys.executable))
    lab.contenders = (STUB, broken)

    (answer,) = MEASURES["latency"](lab)

    assert {figure.contender for figure in answer.figures} == {STUB.name}
    assert any("broken FAILED" in line and "no_such_program" in line for line in said)


def test_a_failure_of_our_own_is_not_excused(lab: Laboratory) -> None:
    with pytest.raises(ProgramFailed), lab.excusing(LEASEQUEUE):
        raise ProgramFailed("it ended")


def test_a_peer_that_cannot_be_installed_says_what_pip_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def environment_whose_pip_fails(directory: Path, **_: object) -> None:
        python = directory / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho 'no registry answers' >&2\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr("venv.create", environment_whose_pip_fails)
    peer = Contender("peer", "peer", None, packages=("peer",))

    with pytest.raises(PeerUnavailable, match="pip install failed; it said: no registry answers"):
        Environments(tmp_path / "venvs").python(peer)


def test_a_floor_that_cannot_be_measured_says_why(lab: Laboratory) -> None:
    with (
        lab.empty_database() as url,
        pytest.raises(PgbenchFailed, match=r"expected a rate.*relation .*absent.* does not exist"),
    ):
        lab.pgbench.rate(url, "INSERT INTO absent VALUES (1)", clients=1, transactions=1)


def test_the_floor_sends_the_row_that_the_broker_sends(lab: Laboratory) -> None:
    from benchmarks.same_statement import enqueue_statement

    columns = "queue_name, state, mtime = available_at, expires_at - available_at, errors, length(message::text)"
    with lab.database() as url:
        with lab.start(LEASEQUEUE, "enqueue", url, jobs=1) as sender:
            sender.wait_ready().ask("go")
        by_broker = set(lab.query(url, f"SELECT {columns} FROM dramatiq.queue"))
        lab.query(url, "TRUNCATE dramatiq.queue")
        lab.pgbench.rate(url, enqueue_statement(url), clients=1, transactions=1)
        by_pgbench = set(lab.query(url, f"SELECT {columns} FROM dramatiq.queue"))

    assert len(by_broker) == 1
    assert by_pgbench == by_broker


def test_the_rate_of_each_part_is_read_from_looks_at_any_time() -> None:
    # Half of 600 jobs at 100 a second, the rest at 200; looked at when no part ends.
    looks = [(0.0, 0), (0.7, 70), (3.0, 300), (3.1, 320), (4.5, 600)]

    assert rates(looks, 600) == pytest.approx([100.0] * (PARTS // 2) + [200.0] * (PARTS // 2))


def test_a_goal_is_met_on_its_own_side_of_the_bound() -> None:
    assert Goal("rate", 0.8, 0.8, "at least").met
    assert not Goal("rate", 0.79, 0.8, "at least").met
    assert Goal("cost", 1.2, 1.2, "at most").met
    assert not Goal("cost", 1.21, 1.2, "at most").met


def test_a_ratio_to_somebody_who_did_not_take_part_is_no_goal() -> None:
    answer = Answer("a", "?", [Figure("here", "s", "jobs/s", (1.0, 3.0, 2.0))])

    answer.compare("here / absent", answer.median("here", "s"), answer.median("absent", "s"), 1.0)
    answer.compare("here / here", answer.median("here", "s"), answer.median("here", "s"), 1.0)

    assert [(goal.what, goal.value) for goal in answer.goals] == [("here / here", 1.0)]


def test_the_report_says_what_was_measured_on_what(lab: Laboratory, tmp_path: Path) -> None:
    lab.scale = replace(TINY, rounds=2)
    path = tmp_path / "docs" / "figures.json"

    write_json(as_json(MEASURES["bulk"](lab), lab, load=0.1), path)

    report = json.loads(path.read_text())
    assert {"date", "machine", "versions", "postgres_settings", "scale", "answers"} <= report.keys()
    assert report["versions"]["postgres"].split(".")[0].isdigit()
    (answer,) = report["answers"]
    (figure,) = answer["figures"]
    assert (figure["contender"], len(figure["samples"])) == (LEASEQUEUE.name, 2)
    assert answer["goals"][0]["sense"] == "at least"


def bench_databases(lab: Laboratory) -> int:
    ((count,),) = lab.query(lab.server.url, "SELECT count(*) FROM pg_database WHERE datname LIKE 'bench%%'")
    return int(count)


def programs_of_this_process() -> list[str]:
    """Command lines of contenders' programs that are children of this process, once the ended ones are reaped."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    found = []
    for pid in children.read_text().split() if children.exists() else []:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if "benchmarks.programs" in command or "pgbench" in command:
            found.append(command)
    return found
