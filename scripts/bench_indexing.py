"""Measure indexing beside universal-ctags, in one run on one machine, as ratios.

    python scripts/bench_indexing.py [--rounds 3] REPOSITORY [REPOSITORY ...]

Each REPOSITORY is a local git repository with a commit; it is cloned and the clone is changed, not the original. For
each: the first index, beside a checkout + ctags + loading its output into the same Postgres and beside ctags that is
fed from git in its interactive mode by two processes, one behind the other in each round, which has a server of its
own; the names for fuzzy search, which a worker takes over behind the job; then further commits, the same content under
another name, and the memory of this process and its children. Told are medians, with the least and the most where
rounds differ. Needs git and universal-ctags. Figures go into
docs/indexing.md by hand.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.sql import SQL, Identifier

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from throwaway_postgres import ThrowawayPostgres  # noqa: E402 the path comes first

from indexing import forks, jobs, languages  # noqa: E402
from indexing.limits import Limits  # noqa: E402
from indexing.names import take_names  # noqa: E402
from indexing.run import index_commit  # noqa: E402
from indexing.upkeep import no_pause  # noqa: E402
from leasequeue.migrations import migrate  # noqa: E402

#: Runs of each measure that are short; the median is told.
REPEATS = 5

#: Seconds between two looks at the memory.
LOOK_SECONDS = 0.1

CTAGS = ["ctags", "--options=NONE", "--fields=+nKeS", "--output-format=json"]
TAGS = "CREATE TABLE tags (tag jsonb); CREATE INDEX ON tags ((tag->>'name'))"


class Memory(threading.Thread):
    """The most that this process and its children take together, in MB, by their proportional shares."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.most = max(self.most, sum(map(_share, [os.getpid(), *_children(os.getpid())])))

    def end(self) -> float:
        self._ended.set()
        self.join()
        return self.most


def _children(pid: int) -> list[int]:
    """All below a process, but Postgres, and a copy of this process that is about to become git: its memory is ours."""
    found = []
    with suppress(OSError):
        ours = Path("/proc/self/cmdline").read_text()
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                command = Path(f"/proc/{child}/cmdline").read_text()
                if "postgres" not in command and command != ours:
                    found += [child, *_children(child)]
    return found


def _cpu_seconds() -> float:
    """What this process and its children have used, and those that are no more; Postgres is not among them."""
    seconds = sum(os.times()[:4])
    for child in _children(os.getpid()):
        with suppress(OSError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds


def _share(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Bench:
    """One repository, cloned, and a database."""

    def __init__(self, repository: Path, scratch: Path, url: str, sockets: Path) -> None:
        self.clone = scratch / repository.name
        subprocess.run(["git", "clone", "--quiet", "--no-local", repository, self.clone], check=True)
        self.connection = psycopg2.connect(url, host=str(sockets))
        self.scratch = scratch
        self.files = self.git("ls-files", "-z").rstrip("\0").split("\0")
        self.sources = [each for each in self.files if languages.language_of(each.encode()) != languages.TEXT]

    def git(self, *arguments: str) -> str:
        command = [
            "git",
            "-C",
            str(self.clone),
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@example.com",
            *arguments,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def index(self, name: str = "", **options: Any) -> float:
        """Seconds of a job, as far as it is indexing's."""
        with self.connection, self.connection.cursor() as cursor:
            repository_id = jobs.add_repository(cursor, str(self.clone) + name)
        began = time.perf_counter()
        index_commit(
            self.connection,
            str(self.clone),
            repository_id,
            None,
            limits=Limits(),
            on_progress=lambda _: None,
            **options,
        )
        return time.perf_counter() - began

    def take_names(self) -> float:
        """Seconds of what a worker does behind its jobs: the names for fuzzy search."""
        began = time.perf_counter()
        take_names(self.connection, no_pause)
        return time.perf_counter() - began

    def change(self, count: int) -> None:
        """Commit a new definition in so many files."""
        for name in random.sample(self.sources, count):
            with (self.clone / name).open("a") as file:
                file.write(f"\n# {time.time_ns()}\n")
        self.git("commit", "--quiet", "--all", "-m", "change")

    def checkout_and_ctags(self) -> float:
        """A checkout, ctags over it, its output loaded."""
        began = time.perf_counter()
        tree = self.scratch / "tree"
        tree.mkdir()
        environ = os.environ | {"GIT_INDEX_FILE": str(self.scratch / "index")}
        subprocess.run(
            ["git", "-C", self.clone, f"--work-tree={tree}", "checkout", "--quiet", "HEAD", "--", "."],
            check=True,
            env=environ,
        )
        output = self.scratch / "tags.json"
        subprocess.run(
            [*CTAGS, "--extras=-F", "-R", "-f", output, "."], check=True, cwd=tree, stderr=subprocess.DEVNULL
        )
        self.load(output.read_bytes())
        return time.perf_counter() - began

    def ctags_from_git(self) -> float:
        """Two processes of ctags in its interactive mode, fed from git's objects, their output loaded."""
        began = time.perf_counter()
        outputs: list[bytes] = [b"", b""]

        def feed(part: int) -> None:
            wanted = self.sources[part::2]
            asked = "".join(f"HEAD:{name}\n" for name in wanted)
            with (
                tempfile.TemporaryFile() as names,
                subprocess.Popen(
                    [*CTAGS, "--_interactive=default"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                ) as ctags,
            ):
                names.write(asked.encode())
                names.seek(0)
                done = subprocess.run(
                    ["git", "-C", self.clone, "cat-file", "--batch", "--buffer"],
                    stdin=names,
                    capture_output=True,
                    check=True,
                )
                assert ctags.stdin is not None
                assert ctags.stdout is not None
                writer = threading.Thread(target=_hand_over, args=(ctags.stdin, wanted, done.stdout))
                writer.start()
                outputs[part] = ctags.stdout.read()
                writer.join()

        threads = [threading.Thread(target=feed, args=(part,)) for part in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for output in outputs:
            self.load(b"".join(line for line in output.splitlines(True) if b'"_type": "tag"' in line))
        return time.perf_counter() - began

    def load(self, lines: bytes) -> None:
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS tags; " + TAGS)
            cursor.copy_expert("COPY tags FROM STDIN", io.BytesIO(lines.replace(b"\\", b"\\\\")))

    def count(self, table: str) -> int:
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier(*table.split("."))))
            ((count,),) = cursor.fetchall()
            return int(count)


def _hand_over(stdin: Any, names: list[str], contents: bytes) -> None:
    at = 0
    for name in names:
        end = contents.index(b"\n", at)
        size = int(contents[at:end].split()[2])
        stdin.write(f'{{"command":"generate-tags","filename":"{name}","size":{size}}}\n'.encode())
        stdin.write(contents[end + 1 : end + 1 + size])
        at = end + 1 + size + 1
    stdin.close()


def cpu_of(measure: Callable[[], float]) -> tuple[float, float]:
    """What it measured, and the CPU time of this process and its children meanwhile."""
    before = _cpu_seconds()
    seconds = measure()
    return seconds, _cpu_seconds() - before


def median(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(REPEATS))[REPEATS // 2]


@contextmanager
def bench_of(repository: Path) -> Iterator[Bench]:
    """In a database and a directory that go afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        # Not through the loopback device: large statements of either may lie still for 200 ms there.
        sockets = Path(scratch, "sockets")
        sockets.mkdir()
        with ThrowawayPostgres(settings={"unix_socket_directories": str(sockets)}) as server:
            migrate(server.url, schema="indexing", directory=ROOT / "indexing" / "migrations")
            bench = Bench(repository.resolve(), Path(scratch), server.url, sockets)
            yield bench
            bench.connection.close()


class Round(NamedTuple):
    """The same contents, three times; seconds, and CPU seconds behind each."""

    first: float
    first_cpu: float
    #: The names for fuzzy search, behind the first.
    names: float
    #: The most of the first, in MB. In the first round of a process only: others leave their memory behind.
    memory: float
    checkout: float
    checkout_cpu: float
    fed: float
    fed_cpu: float

    @classmethod
    def of(cls, bench: Bench) -> Round:
        memory = Memory()
        memory.start()
        first = cpu_of(bench.index)
        most = memory.end()
        return cls(*first, bench.take_names(), most, *cpu_of(bench.checkout_and_ctags), *cpu_of(bench.ctags_from_git))


def compare(rounds: Sequence[Round]) -> Iterator[tuple[str, str]]:
    """The first index beside the others."""
    yield "memory, worker and children", f"{rounds[0].memory:.0f} MB"
    yield "first index", told([each.first for each in rounds], "s", [each.first_cpu for each in rounds])
    yield "names for fuzzy search, behind it", f"{ranged([each.names for each in rounds])} s"
    checkout = [each.checkout for each in rounds], [each.checkout_cpu for each in rounds]
    yield "checkout + ctags + load", told(checkout[0], "s", checkout[1])
    ratios = [each.first / each.checkout for each in rounds], [each.first_cpu / each.checkout_cpu for each in rounds]
    yield "first index / that", told(ratios[0], "x", ratios[1])
    fed = [each.fed for each in rounds], [each.fed_cpu for each in rounds]
    yield "ctags fed from git by 2 processes + load", told(fed[0], "s", fed[1])
    ratios = [each.first / each.fed for each in rounds], [each.first_cpu / each.fed_cpu for each in rounds]
    yield "first index / that", told(ratios[0], "x", ratios[1])


def told(values: Sequence[float], unit: str, cpu: Sequence[float]) -> str:
    return f"{ranged(values)} {unit}, CPU {ranged(cpu)} {unit}"


def ranged(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:.2f}" if len(values) == 1 else f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})"


def measure(bench: Bench, first: float) -> Iterator[tuple[str, str]]:
    """What is measured of an indexed repository, whose first index took so long, and how much it was."""
    yield "same commit again", f"{median(bench.index):.3f} s"
    yield "same content, other repository", f"{bench.index('-other', parser_command=('false',)):.2f} s, nothing parsed"

    def changed(count: int) -> float:
        bench.change(count)
        seconds = bench.index()
        bench.take_names()
        return seconds

    yield "one file changed", f"{median(lambda: changed(1)):.3f} s"
    one_percent = max(1, len(bench.sources) // 100)
    second = median(lambda: changed(one_percent))
    yield "1 % of the files changed", f"{second:.3f} s = {second / first:.1%} of the first"


def main() -> None:
    """Print a table for each repository."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("repository", type=Path, nargs="+")
    chosen = options.parse_args()
    # As a worker does before its first job.
    forks.start()
    for repository in chosen.repository:
        print(f"\n| {repository.name} | |\n|---|---|", flush=True)
        rounds: list[Round] = []
        while len(rounds) < chosen.rounds:
            with bench_of(repository) as bench:
                rounds.append(Round.of(bench))
                if len(rounds) == chosen.rounds:
                    lines = f"{len(bench.files):,} files, {bench.count('indexing.symbols'):,} symbols"
                    for what, how_much in (
                        ("found", f"{lines}; {bench.count('tags'):,} tags by ctags"),
                        *compare(rounds),
                        *measure(bench, statistics.median(each.first for each in rounds)),
                    ):
                        print(f"| {what} | {how_much} |", flush=True)


if __name__ == "__main__":
    main()
