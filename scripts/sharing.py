"""Measures what keys and owners promise: a push storm on one repository, and a few jobs behind another owner's many.

    .venv/bin/python scripts/sharing.py storm     # 1,000 pushes to one repository in 10 s from 8 processes
    .venv/bin/python scripts/sharing.py owners    # 10,000 jobs of one owner, then 10 of another: when are the 10 done?

Starts a Postgres and a worker of its own. docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import psycopg2  # noqa: E402
from throwaway_postgres import ThrowawayPostgres  # noqa: E402

#: The storm: pushes, processes that push, and seconds in which they do.
PUSHES, PROCESSES, SECONDS = 1_000, 8, 10.0

#: The owners: jobs of the one, jobs of the other, seconds that one job takes, and threads that run them.
MANY, FEW, JOB_SECONDS, THREADS = 10_000, 10, 0.002, 4

#: Seconds that anything may take before the measurement is given up.
PATIENCE = 300.0

GIT = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("storm", "owners"))
    what = parser.parse_args().what
    with ExitStack() as stack:
        server = stack.enter_context(ThrowawayPostgres())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["SUPABASE_DB_URL"] = server.url
        os.environ["HOME"] = str(directory)
        return storm(server.url, directory, stack) if what == "storm" else owners(server.url, stack)


# The storm.


def storm(url: str, directory: Path, stack: ExitStack) -> int:
    repository = directory / "repository"
    subprocess.run([*GIT, "init", "--quiet", repository], check=True)
    for number in range(300):
        (repository / f"module_{number}.py").write_text(f"def function_{number}():\n    return {number}\n" * 50)
    shas = []
    for number in range(PUSHES):
        (repository / "newest.py").write_text(f"def newest_{number}(): pass\n")
        subprocess.run([*GIT, "-C", repository, "add", "--all"], check=True)
        subprocess.run([*GIT, "-C", repository, "commit", "--quiet", "-m", str(number)], check=True)
        shas.append(_git(repository, "rev-parse", "HEAD"))
    subprocess.run([Path(sys.executable).with_name("indexq"), "migrate"], check=True, stdout=subprocess.DEVNULL)
    log = directory / "worker.log"
    worker = stack.enter_context(_worker(["actors", "-p", "2", "-t", "3"], log))
    began = time.time()
    context = get_context("spawn")
    pushers = [
        context.Process(target=_push, args=(str(repository), shas[place::PROCESSES], place, began))
        for place in range(PROCESSES)
    ]
    for each in pushers:
        each.start()
    for each in pushers:
        each.join()
    sent = time.time() - began
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        _wait(lambda: not _rows(connection, "SELECT FROM dramatiq.queue WHERE state IN ('queued', 'consumed') LIMIT 1"))
        ended = time.time() - began
        counts = dict(_rows(connection, "SELECT status, count(*) FROM indexing.index_jobs GROUP BY 1"))
        ((last,),) = _rows(connection, "SELECT commit_sha FROM indexing.index_jobs ORDER BY created_at DESC LIMIT 1")
        ((current,),) = _rows(
            connection,
            "SELECT c.sha FROM indexing.repositories AS r JOIN indexing.commits AS c ON c.id = r.current_commit_id",
        )
        dead = _rows(connection, "SELECT count(*) FROM dramatiq.queue")[0][0]
    print(f"pushes: {PUSHES} by {PROCESSES} processes in {sent:.1f} s")
    print(f"runs completed: {counts.get('completed', 0)}, merged: {counts.get('merged', 0)}, all: {counts}")
    print(f"left in the queue: {dead}; the last end came {ended - sent:.1f} s behind the last push")
    print(f"the job that was asked for last is what is indexed: {'yes' if last == current else 'NO'}")
    worker.terminate()
    return 0 if last == current and not dead else 1


def _push(repository: str, shas: list[str], place: int, began: float) -> None:
    from actors import broker, enqueue_index_job
    from indexing import jobs

    with closing(broker), closing(psycopg2.connect(os.environ["SUPABASE_DB_URL"])) as connection:
        for number, sha in enumerate(shas):
            due = began + 2.0 + (number * PROCESSES + place) * SECONDS / PUSHES
            time.sleep(max(0.0, due - time.time()))
            with connection, connection.cursor() as cursor:
                message = enqueue_index_job(cursor, jobs.add_repository(cursor, repository), sha)
            broker.ring(message.queue_name)


# The owners.


def owners(url: str, stack: ExitStack) -> int:
    import dramatiq
    from dramatiq import Worker

    from leasequeue import LeaseBroker

    broker = stack.enter_context(closing(LeaseBroker(url=url)))
    order: list[str] = []

    @dramatiq.actor(broker=broker, fairness_key=lambda owner, number: owner)
    def work(owner: str, number: int) -> None:
        time.sleep(JOB_SECONDS)
        order.append(owner)

    broker.migrate()
    broker.enqueue_many([work.message("many", number) for number in range(MANY)])
    broker.enqueue_many([work.message("few", number) for number in range(FEW)])
    began = time.monotonic()
    worker = Worker(broker, worker_threads=THREADS)
    worker.start()
    _wait(lambda: order.count("few") == FEW)
    few = time.monotonic() - began
    place = max(place for place, owner in enumerate(order) if owner == "few") + 1
    broker.join("default", timeout=int(PATIENCE * 1000))
    everything = time.monotonic() - began
    worker.stop()
    print(f"{MANY:,} jobs of one owner, then {FEW} of another; {JOB_SECONDS * 1000:g} ms each, {THREADS} threads")
    print(f"the {FEW} were done after {few:.2f} s, as number {place} of {len(order):,} jobs")
    print(f"all were done after {everything:.1f} s")
    return 0


# Both.


def _worker(arguments: list[str], log: Path) -> Any:
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "dramatiq", *arguments], stdout=file, stderr=file, cwd=ROOT)


def _git(repository: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, "-C", repository, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _rows(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _wait(fact: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up after {PATIENCE:g} s")
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
