"""How soon ``POST /index`` is answered, with 200 orders a second: alone, while workers index, and as it was before.

    .venv/bin/python scripts/bench_api.py [--seconds 30] [--rate 200] [--write]

Each order of a phase is for a repository of its own, and workers index them meanwhile. Time is counted from the moment
at which the order was due, so that a late sender hides nothing. At the end the old way is asked: an API that indexes
inside the request. --write puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg2
from benchmarks.laboratory import own_server
from http_load import Client, Result, running
from ports import free_port

ROOT = Path(__file__).resolve().parent.parent
INDEXQ = Path(sys.executable).with_name("indexq")
WORKPLACE = ROOT / ".local" / "bench-api"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- api: begin, made by scripts/bench_api.py -->", "<!-- api: end -->"

#: Files of one repository, taken from Python's own library: half a second to a second of work.
FILES = 100

#: Repositories with contents of their own: more than workers can index in a phase. Orders beyond them name the same
#: directories by other names.
REPOSITORIES = 120

#: Orders to the old way, of one caller.
OLD_ORDERS = 10

#: Orders before the clock starts.
WARMING = 20

#: Where Linux keeps control groups: version 2, and version 1.
CONTROL_GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu"))

#: A server that has worked for a while keeps files of its log and writes them again. A fresh one makes each anew, 16 MB
#: of zeros on the disk, while every commit waits: so it is made to write some 480 MB of log first.
AGE = "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 8000))) FROM generate_series(1, %(messages)s)"
AGE_MESSAGES = 60_000

#: Of the callers' session.
CALLERS_NICENESS = "-15"

#: Seconds for a program to be there.
START_SECONDS = 60.0


def order_of(repository: Path) -> bytes:
    """The request that asks for one repository."""
    body = json.dumps({"repository": str(repository)}).encode()
    return b"POST /index HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def stream(port: int, repositories: Sequence[Path], rate: float) -> Result:
    """Orders at a fixed rate, timed from when each was due."""
    return await Client(port, repeats=False).fire([order_of(each) for each in repositories], rate, from_due=True)


async def one_by_one(port: int, repositories: Sequence[Path]) -> Result:
    result, client = Result(), Client(port, repeats=False)
    for repository in repositories:
        await client.ask(order_of(repository), result)
    client.close()
    return result


def make_repositories(directory: Path, count: int) -> list[Path]:
    """Repositories of the same files, each with a line of its own in them: no content is known from another one."""
    library = Path(sysconfig.get_path("stdlib"))
    sources = sorted(library.glob("*.py"), key=lambda path: path.stat().st_size)[-FILES:]
    made = []
    for number in range(count):
        repository = directory / f"{number:04}"
        repository.mkdir(parents=True)
        for source in sources:
            (repository / source.name).write_bytes(source.read_bytes() + f"\n# {number}\n".encode())
        git = ["git", "-C", str(repository), "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
            subprocess.run([*git, *arguments], check=True)
        made.append(repository)
    return made


@contextmanager
def program(command: Sequence[str], log: Path, **environ: str) -> Iterator[None]:
    """A program whose Python finds the product and the scripts; what it says goes to the end of ``log``."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"
    with log.open("ab") as output, running(command, ROOT, {"PYTHONPATH": path, **environ}, output):
        yield


@contextmanager
def serving(app: str, log: Path, url: str, directory: Path) -> Iterator[int]:
    """The port of an API in a process of its own."""
    port = free_port()
    # as a proxy expects it: a connection that is idle for some seconds is not closed
    options = ["--port", str(port), "--no-access-log", "--timeout-keep-alive", "120"]
    command = [sys.executable, "-m", "uvicorn", app, *options]
    with program(command, log, SUPABASE_DB_URL=url, INDEX_LOCAL_DIRECTORIES=str(directory)):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with closing(socket.socket()) as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    yield port
                    return
            time.sleep(0.1)
        raise RuntimeError(f"expected {app} to listen within {START_SECONDS:g} s; see {log}")


def ask(url: str, question: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        ((count,),) = cursor.fetchall()
        return int(count)


COMPLETED = "SELECT count(*) FROM indexing.commits"
CLAIMED = "SELECT count(*) FROM dramatiq.worker WHERE dead_at IS NULL"


@contextmanager
def workers(log: Path, url: str, *, group: Path | None) -> Iterator[None]:
    """Two processes of three threads, with three jobs at once between them: the defaults. ``group``: to put them in."""
    command = [sys.executable, "-m", "dramatiq", "actors", "-p", "2", "-t", "3"]
    if group is not None:
        command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command]
    with program(command, log, SUPABASE_DB_URL=url):
        deadline = time.monotonic() + START_SECONDS
        while ask(url, CLAIMED) < 2:
            if time.monotonic() > deadline:
                raise RuntimeError(f"expected the workers to be there within {START_SECONDS:g} s; see {log}")
            time.sleep(0.1)
        yield


@contextmanager
def idle_group() -> Iterator[Path | None]:
    """A control group that only has what others leave of the processors, as systemd's CPUWeight=idle makes it."""
    places = [root for root in CONTROL_GROUPS if (root / "cgroup.procs").exists() and os.access(root, os.W_OK)]
    for group in (root / f"indexq-bench-{os.getpid()}" for root in places):
        with suppress(OSError):
            group.mkdir()
        if not (group / "cpu.idle").exists():
            with suppress(OSError):
                group.rmdir()
            continue
        (group / "cpu.idle").write_text("1")
        try:
            yield group
        finally:
            wait_until_empty(group)
            group.rmdir()
        return
    yield None


def wait_until_empty(group: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)


@contextmanager
def first_at_the_processor() -> Iterator[None]:
    """Callers are elsewhere in truth: where root may say so, ours do not wait for what they measure."""
    session = Path("/proc/self/autogroup")
    before = session.read_text().split() if session.exists() else []
    if os.geteuid() or not before:  # it is empty for who is in no session of anybody
        yield
        return
    session.write_text(CALLERS_NICENESS)
    try:
        yield
    finally:
        session.write_text(before[-1])


def other_names(repositories: Sequence[Path], directory: Path, count: int) -> list[Path]:
    """So many places, each a repository of its own for whoever is asked to index it."""
    directory.mkdir()
    names = [directory / f"{number:06}" for number in range(count)]
    for number, name in enumerate(names):
        name.symlink_to(repositories[number % len(repositories)])
    return names


@contextmanager
def migrated_server() -> Iterator[str]:
    """The URL of a server with the tables in it that is not quite new: default settings, fsync on, gone afterwards."""
    with own_server(WORKPLACE / "postgres") as server:
        environ = {**os.environ, "SUPABASE_DB_URL": server.url}
        subprocess.run([INDEXQ, "migrate"], env=environ, check=True, cwd="/", stdout=subprocess.DEVNULL)
        with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(AGE, {"messages": AGE_MESSAGES})
            cursor.execute("CHECKPOINT")
        yield server.url


def measure(rate: float, seconds: float, directory: Path) -> Iterator[tuple[str, Result, str]]:
    """One phase after the other: its name, what callers saw, what else is to be said."""
    log = WORKPLACE / "log"
    repositories = make_repositories(directory / "made", REPOSITORIES)
    places = other_names(repositories, directory / "places", int(rate * seconds) + WARMING)
    with idle_group() as idle:
        plans: dict[str, tuple[bool, Path | None]] = {"no worker": (False, None), "workers index": (True, None)}
        if idle is not None:
            plans["workers index in what others leave (`CPUWeight=idle`)"] = (True, idle)
        for name, (is_beside_workers, group) in plans.items():
            with migrated_server() as url, ExitStack() as stack:
                port = stack.enter_context(serving("examples.api.app:app", log, url, directory))
                if is_beside_workers:
                    stack.enter_context(workers(log, url, group=group))
                stack.enter_context(first_at_the_processor())
                asyncio.run(stream(port, places[-WARMING:], WARMING))  # every session is there
                load = os.getloadavg()[0]
                result = asyncio.run(stream(port, places[:-WARMING], rate))
                indexed = ask(url, COMPLETED)
            remark = f"load {load:.1f} before" + (f", {indexed} indexed meanwhile" if is_beside_workers else "")
            yield f"{rate:g} orders/s, {name}", result, remark
    with migrated_server() as url, serving("synchronous_api:app", log, url, directory) as port:
        load = os.getloadavg()[0]
        result = asyncio.run(one_by_one(port, repositories[:OLD_ORDERS]))
        yield "the old way: one caller, one order after the other", result, f"load {load:.1f} before"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How soon POST /index is answered.")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each phase")
    parser.add_argument("--rate", type=float, default=200.0, help="orders a second")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    chosen = parser.parse_args(arguments)
    WORKPLACE.mkdir(parents=True, exist_ok=True)
    rows = ["| | orders | answers | median | p99 | slowest | |", "|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="indexq-api-") as directory:
        for name, result, remark in measure(chosen.rate, chosen.seconds, Path(directory)):
            codes = ", ".join(f"{code} x {count:,}" for code, count in result.codes.items())
            times = " | ".join(f"{result.at(share) * 1000:,.1f} ms" for share in (0.5, 0.99, 1.0))
            rows.append(f"| {name} | {len(result.seconds):,} | {codes} | {times} | {remark} |")
            print(rows[-1], flush=True)
    if chosen.write:
        before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        table = "\n".join(rows)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
