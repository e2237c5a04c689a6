"""500 probes a second against the health application: what they cost the database, and how long the slowest waits.

    python scripts/probe_load.py --seconds 30 --rate 500 [--write]

The states: a healthy database, the same while all worker threads burn the processors, the same on a processor that
they share with a program that burns it too, and a database that takes connections and says nothing. `--write` puts the
table into docs/health.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from http_load import Client, Result, running
from ports import free_port
from throwaway_postgres import ThrowawayPostgres

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "health.md"
BEGIN, END = "<!-- probes: begin, made by scripts/probe_load.py -->", "<!-- probes: end -->"

#: Where the worker's actors of the tests are, of which one burns the processor, and what they import.
ACTORS = f"{ROOT / 'tests' / 'health'}{os.pathsep}{ROOT / 'tests'}"

#: Each statement and each connection of the server on a line of its own, with who sent it.
SERVER_SETTINGS = {"log_statement": "all", "log_connections": "on", "log_line_prefix": "[%a] "}

#: Probes a second of several load balancers and orchestrators together.
ORDINARY_RATE = 20.0

#: Real-time priority of the sender: any is before all that have none.
SENDER_PRIORITY = 1

#: Seconds for a process to be there.
START_SECONDS = 30.0


#: One probe.
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Probed(Result):
    """What the probes of one state saw, and cost."""

    questions: int = 0


class Silent:
    """A server whose kernel takes connections, and that never says a word. Counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgresql://someone:nobody@127.0.0.1:{self._listener.getsockname()[1]}/product"

    @property
    def questions(self) -> int:
        return len(self._taken)

    def _take(self) -> None:
        while True:
            self._taken.append(self._listener.accept()[0])


def questions_of(server: ThrowawayPostgres) -> int:
    """Statements of health checks so far, by the server's own log."""
    return server.log_file.read_text(errors="replace").count("[leasequeue health] LOG:  statement: ")


def program(command: Sequence[str], **environ: str) -> AbstractContextManager[None]:
    """A program of the product."""
    return running([sys.executable, "-m", *command], ROOT, {"PYTHONPATH": ACTORS, **environ})


def wait_for(port: int, code: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        result = Result()
        with suppress(OSError, asyncio.IncompleteReadError):
            asyncio.run(Client(port, repeats=True).ask(PROBE, result))
        if result.codes[code]:
            return
        time.sleep(0.1)
    raise RuntimeError(f"expected port {port} to answer {code} within {START_SECONDS:g} s")


def measure(port: int, rate: float, seconds: float, questions: Callable[[], int]) -> Probed:
    before = questions()
    probes = [PROBE] * int(rate * seconds)
    result = asyncio.run(Client(port, repeats=True).fire(probes, rate, from_due=False))
    return Probed(result.codes, result.seconds, result.late, questions() - before)


def send_burning(environ: dict[str, str], jobs: int, seconds: float) -> None:
    """Give each worker thread a job that burns a processor."""
    subprocess.run(
        [sys.executable, "-c", f"from health_actors import burn\nfor _ in range({jobs}): burn.send({seconds})"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ACTORS}{os.pathsep}{ROOT}", **environ},
        check=True,
    )
    time.sleep(1)


def with_a_database(rate: float, seconds: float, directory: Path) -> Iterator[tuple[str, Probed]]:
    """Two worker processes of four threads, the health application in a fork beside them: idle, then burning."""
    with ThrowawayPostgres(settings=SERVER_SETTINGS) as server:
        port = free_port()
        environ = {"SUPABASE_DB_URL": server.url, "TMPDIR": str(directory)}
        workers = ["dramatiq", "health_actors", "--processes", "2", "--threads", "4"]
        with program(workers, HEALTH_PORT=str(port), **environ):
            wait_for(port, 200)
            yield "healthy, workers idle", measure(port, rate, seconds, lambda: questions_of(server))
            send_burning(environ, 8, 2 * seconds + 10)
            for each in (rate, ORDINARY_RATE):
                burning = measure(port, each, seconds, lambda: questions_of(server))
                yield f"healthy, all 8 worker threads burn the processors, {each:g} probes a second", burning


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """What is started meanwhile runs on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def on_a_crowded_processor(rate: float, seconds: float, directory: Path) -> Iterator[tuple[str, Probed]]:
    """Workers and health application on one processor, which a program of another session burns as well.

    Whoever sends the probes has the others, so that the delays are those of the answer alone.
    """
    crowded, *others = sorted(os.sched_getaffinity(0))
    with ThrowawayPostgres(settings=SERVER_SETTINGS) as server, ExitStack() as stack:
        port = free_port()
        environ = {"SUPABASE_DB_URL": server.url, "TMPDIR": str(directory)}
        workers = ["dramatiq", "health_actors", "--processes", "1", "--threads", "4"]
        with on_processor(crowded):
            stack.enter_context(program(["timeit", "-n", "1", "-r", "1", "while True: sum(range(1000))"]))
            stack.enter_context(program(workers, HEALTH_PORT=str(port), **environ))
        if others:
            stack.enter_context(on_processor(others[0]))
        wait_for(port, 200)
        send_burning(environ, 4, 2 * seconds + 10)
        for each in (rate, ORDINARY_RATE):
            burning = measure(port, each, seconds, lambda: questions_of(server))
            name = "healthy, one processor for workers that burn it, a program that burns it, and the answers"
            yield f"{name}, {each:g} probes a second", burning


def without_an_answer(rate: float, seconds: float, directory: Path) -> Iterator[tuple[str, Probed]]:
    """A sidecar whose database takes connections and says nothing."""
    silent, port = Silent(), free_port()
    command = ["uvicorn", "health_app:app", "--port", str(port), "--no-access-log"]
    with program(command, SUPABASE_DB_URL=silent.url, TMPDIR=str(directory)):
        wait_for(port, 503)
        yield "hanging", measure(port, rate, seconds, lambda: silent.questions)


def be_prompt() -> None:
    """Let the sender wait for no processor, as a load balancer on a machine of its own; root may do that.

    What is started from here does not inherit it. How late the sender was all the same is in the table.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(SENDER_PRIORITY))
    except (AttributeError, PermissionError):
        print("The sender of the probes waits for processors as well: its own delays are in the figures.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Probes against the health application, and what they cost.")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each state")
    parser.add_argument("--rate", type=float, default=500.0, help="probes a second")
    parser.add_argument("--write", action="store_true", help="put the table into docs/health.md")
    chosen = parser.parse_args(arguments)
    be_prompt()
    rows = [
        "| database | probes | answers | questions to it | median | p99 | slowest | sender late by | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="indexq-probes-") as directory:
        for measured in (with_a_database, on_a_crowded_processor, without_an_answer):
            for name, result in measured(chosen.rate, chosen.seconds, Path(directory)):
                codes = ", ".join(f"{code} x {count:,}" for code, count in result.codes.items())
                times = " | ".join(f"{result.at(share) * 1000:.0f} ms" for share in (0.5, 0.99, 1.0))
                load = f"{os.getloadavg()[0]:.1f}"
                late = f"{max(result.late) * 1000:.0f} ms"
                figures = " | ".join([codes, str(result.questions), times, late, load])
                rows.append(f"| {name} | {len(result.seconds):,} | {figures} |")
                print(rows[-1], flush=True)
    if chosen.write:
        before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        table = "\n".join(rows)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
