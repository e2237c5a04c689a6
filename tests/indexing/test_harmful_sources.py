"""Sources that hang, crash or starve a parser cost themselves a skip, and nobody else anything."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing import forks, languages, parsers, priority
from indexing.errors import TransientIndexError
from indexing.limits import Limits
from indexing.parsers import Parsers, Task
from indexing.patience import Patience
from indexing.report import Progress

Make = Callable[..., Repository]


#: A parser whose language modules are real, and which does what these contents say instead of parsing them.
PARSER_WITH_TRICKS = (sys.executable, "-P", "-S", str(Path(__file__).parent / "parser_with_tricks.py"))


class Stop(Exception):
    pass


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # empty: ended, and nobody has asked how
    except OSError:
        return False


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _children_of(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= set(map(int, (task / "children").read_text().split()))
    return found


def _servers() -> set[int]:
    """Our own fork servers that run."""
    return {
        pid
        for pid in _children_of(os.getpid())
        if any(name in Path(f"/proc/{pid}/cmdline").read_bytes() for name in (b"fork_server", b"parser_with_tricks"))
    }


def _parsers() -> set[int]:
    """Those that were given to a job."""
    return _children_of_servers() - _ready()


def _ready() -> set[int]:
    """Those that wait for a job."""
    found = set()
    for pid in _children_of_servers():
        with suppress(OSError):
            if Path(f"/proc/{pid}/fd/0").readlink() == Path(os.devnull):
                found.add(pid)
    return found


def _ready_of(command: Sequence[str]) -> set[int]:
    """Those of one server, as soon as it has as many as it is to have."""
    line = "".join(f"{word}\0" for word in command).encode()

    def found() -> set[int]:
        servers = [pid for pid in _servers() if Path(f"/proc/{pid}/cmdline").read_bytes() == line]
        ready = _ready()
        return {pid for server in servers for pid in _children_of(server) & ready}

    wait_until(lambda: len(found()) == 2, 10, "some are missing")
    return found()


def _children_of_servers() -> set[int]:
    return {pid for server in _servers() for pid in _children_of(server)}


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("spin", "parse_timeout"),
        ("sleep", "parse_timeout"),
        ("crash", "parse_crashed"),
        ("exhaust", "parse_memory"),
        ("babble", "parse_crashed"),
    ],
)
def test_a_file_that_harms_its_parser_is_a_skip_and_the_others_are_indexed(
    index: Index, make_repository: Make, trick: str, reason: str
) -> None:
    files = {f"{n:03}.py": f"def f{n}(): pass\n" for n in range(60)}
    repository = make_repository({**files, "005x.py": f"TRICK {trick}\n"})
    limits = Limits(
        parse_processes=2,
        parse_seconds=0.3,
        parse_kill_cpu_seconds=0.1,
        # Only this ends one that sleeps; one that spins is ended by the kernel long before.
        parse_silence_seconds=2 if trick in ("sleep", "babble") else 60,
        parse_memory_bytes=500 * 1024 * 1024,
    )
    report = index.run(repository.url, limits=limits, parser_command=PARSER_WITH_TRICKS)
    assert report.skips_by_reason == {reason: 1}
    assert index.skips()["005x.py"] == reason
    assert report.symbols_extracted == 60


def test_a_parser_that_is_silent_because_others_have_the_processor_is_waited_for(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({"a.py": "TRICK work 1.5\ndef f(): pass\n"})
    limits = Limits(parse_processes=1, parse_seconds=5, parse_silence_seconds=0.5)
    index.run(repository.url, limits=limits, parser_command=PARSER_WITH_TRICKS)
    assert index.skips() == {"a.py": None}


@pytest.mark.parametrize(
    ("code", "least", "most"), [("while True: pass", 2.0, 20.0), ("import time; time.sleep(60)", 0.2, 1.9)]
)
def test_a_silent_process_is_waited_for_ten_times_as_long_while_it_works(code: str, least: float, most: float) -> None:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        patience = Patience(0.2)
        began = time.monotonic()
        try:
            wait_until(lambda: patience.is_over(process.pid), 30, "it is waited for without an end")
        finally:
            process.kill()
        assert least <= time.monotonic() - began < most


def test_a_source_that_the_real_parser_never_ends_is_a_skip(index: Index, make_repository: Make) -> None:
    # Given 18 bytes on which error recovery of this grammar goes in a circle.
    repository = make_repository({"endless.tsx": "<i {{k:>t:m(n o)\n", "good.tsx": "function f() {}\n"})
    index.run(repository.url, limits=Limits(parse_processes=1, parse_seconds=0.3))
    assert index.skips() == {"endless.tsx": "parse_timeout", "good.tsx": None}
    assert index.rows("SELECT name FROM indexing.symbols_at_commit") == [("f",)]


def test_a_file_with_too_many_symbols_is_a_skip(index: Index, make_repository: Make) -> None:
    repository = make_repository({"many.py": "A = 1\n" * 11, "few.py": "A = 1\n" * 10})
    index.run(repository.url, limits=Limits(parse_processes=1, max_symbols_per_file=10))
    assert index.skips() == {"many.py": "too_many_symbols", "few.py": None}


@pytest.mark.parametrize(
    "content", [b"(" * 1_000_000, b"[" * 100_000 + b"]" * 100_000, b"x=" * 300_000, random.Random(1).randbytes(900_000)]
)
def test_deep_and_senseless_sources_end_and_the_others_are_indexed(
    index: Index, make_repository: Make, content: bytes
) -> None:
    names = ("a.py", "a.js", "a.cpp", "a.rb")
    repository = make_repository({**dict.fromkeys(names, content.replace(b"\x00", b"")), "good.py": "def f(): pass\n"})
    index.run(repository.url, limits=Limits(parse_processes=2, parse_seconds=0.5))
    skips = index.skips()
    assert skips.pop("good.py") is None
    assert set(skips) == set(names)
    assert set(skips.values()) <= {None, "parse_timeout", "parse_crashed", "parse_memory"}
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE path = 'good.py'") == [("f",)]


def test_what_the_fuzzer_found_costs_a_skip_each_and_nobody_else_anything(index: Index, make_repository: Make) -> None:
    finds = sorted((Path(__file__).parent / "harmful_sources").iterdir())
    assert finds
    suffixes = {name: language.suffixes[0] for name, language in languages.LANGUAGES.items() if language.suffixes}
    files: dict[str, bytes | str] = {
        f"{find.name}{suffixes[find.name.partition('-')[0]]}": find.read_bytes() for find in finds
    }
    repository = make_repository({**files, "good.py": "def f(): pass\n"})
    index.run(repository.url, limits=Limits(parse_processes=2, parse_seconds=0.2, parse_kill_cpu_seconds=0.1))
    skips = index.skips()
    assert skips.pop("good.py") is None
    assert set(skips) == set(files)
    assert set(skips.values()) <= {"parse_timeout", "parse_crashed", "parse_memory"}


def test_sources_that_parsers_are_slow_with_end(index: Index, make_repository: Make) -> None:
    generics = "a" + "<b".join(f"c{n}" for n in range(3000)) + "\n"
    minified = "".join(f"function f{n}(a,b){{return a?b:function(){{return[{n},a]}}}}" for n in range(90_000))
    files: dict[str, bytes | str] = {f"generics{suffix}": generics for suffix in (".cs", ".ts", ".cpp", ".java", ".kt")}
    repository = make_repository({**files, "minified.js": minified, "good.py": "def f(): pass\n"})
    assert len(minified) > 5_000_000
    limits = Limits(parse_processes=2, parse_seconds=0.5, max_file_bytes=10_000_000)
    index.run(repository.url, limits=limits)
    skips = index.skips()
    assert skips.pop("good.py") is None
    assert set(skips) == {*files, "minified.js"}
    assert set(skips.values()) <= {None, "parse_timeout", "parse_crashed", "parse_memory", "too_many_symbols"}


def test_parsers_are_replaced_after_a_while_and_no_file_is_lost(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsers, "_WORN_BYTES", 2000)
    started: list[int] = []
    begin = parsers._Parser.__init__

    def count(self: parsers._Parser, *arguments: Any) -> None:
        started.append(1)
        begin(self, *arguments)

    monkeypatch.setattr(parsers._Parser, "__init__", count)
    repository = make_repository({f"{n}.rb": f"# One of them.\ndef f{n}; end\n" for n in range(400)})
    assert index.run(repository.url, limits=Limits(parse_processes=2)).symbols_extracted == 400
    assert len(started) > 3
    # A text needs none.
    started.clear()
    texts = make_repository({f"{n}.txt": f"{n} {'x' * 50}\n" for n in range(400)}, "texts")
    index.run(texts.url, limits=Limits(parse_processes=2))
    assert started == []


def test_a_parser_that_cannot_load_a_language_blames_no_file(
    index: Index, make_repository: Make, tmp_path: Path
) -> None:
    broken = tmp_path / "broken_parser.py"
    broken.write_text(
        "from indexing import fork_server, languages\n"
        "languages.load = lambda name: (_ for _ in ()).throw(ImportError(name))\n"
        "fork_server.main()\n"
    )
    repository = make_repository({"a.py": "def f(): pass\n"})
    with pytest.raises(TransientIndexError, match="parser for python"):
        index.run(repository.url, parser_command=(sys.executable, "-P", "-S", str(broken)))
    assert index.rows("SELECT count(*) FROM indexing.blobs") == [(0,)]


def test_a_file_whose_parser_was_killed_once_by_somebody_else_is_indexed(
    index: Index, make_repository: Make, tmp_path: Path
) -> None:
    repository = make_repository({"a.py": f"TRICK crash-once {tmp_path / 'crashed'}\ndef f(): pass\n"})
    report = index.run(repository.url, parser_command=PARSER_WITH_TRICKS)
    assert (tmp_path / "crashed").exists()
    assert (report.skips_by_reason, report.symbols_extracted) == ({}, 1)


def test_a_parser_that_does_not_start_is_a_transient_error_and_blames_no_file(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    with pytest.raises(TransientIndexError, match=r"expected (a parser process to start|.* to run)"):
        index.run(repository.url, parser_command=("false",))
    assert index.rows("SELECT count(*) FROM indexing.blobs") == [(0,)]


def test_no_process_is_left_when_a_run_is_stopped_at_a_hung_parser(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "TRICK spin\n"})

    def stop(progress: Progress) -> None:
        if progress.phase == "parse" and _parsers():
            raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop, parser_command=PARSER_WITH_TRICKS)
    wait_until(lambda: not _parsers(), 10, "it is still there")


def test_parsers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "from indexing.limits import Limits\n"
        "from indexing.parsers import Parsers, Task\n"
        f"with Parsers(Limits(parse_processes=2), command={PARSER_WITH_TRICKS!r}) as parsers:\n"
        "    tasks = [Task(str(n), 'python', b'') for n in range(100)]\n"
        "    list(parsers.parse(tasks, lambda: None))\n"
        # It sleeps, and does not see that its stdin is at its end.
        "    list(parsers.parse([Task('0', 'python', b'TRICK sleep')], lambda: print(flush=True)))\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (server,) = _children_of(parent.pid)
        pids = [server, *_children_of(server)]
        assert len(pids) == 3
        parent.kill()
        wait_until(lambda: not any(map(_is_running, pids)))


def test_each_job_gets_parsers_of_its_own(index: Index, make_repository: Make) -> None:
    # Given a file that takes its parser over, so that those behind it are read as it likes.
    limits = Limits(parse_processes=1)
    one = make_repository({"a.py": "TRICK remember\n", "b.py": "TRICK recall 1\n"})
    index.run(one.url, limits=limits, parser_command=PARSER_WITH_TRICKS)
    other = make_repository({"a.py": "TRICK recall 2\n"}, "other")
    index.run(other.url, limits=limits, parser_command=PARSER_WITH_TRICKS)
    names = index.rows("SELECT name FROM indexing.symbols ORDER BY blob_id")
    assert names == [("remembered",), ("remembered",), ("nothing",)]


def test_parsers_are_ready_before_a_job_and_others_behind_it() -> None:
    forks.start()
    before = _ready_of(forks.COMMAND)
    with Parsers(Limits(parse_processes=2)) as running:
        assert len(list(running.parse([Task(str(n), "python", b"A = 1") for n in range(100)], lambda: None))) == 100
        given = _parsers()
        assert len(given) == 2
        assert given <= before
    assert not _ready_of(forks.COMMAND) & given


def test_a_parser_that_was_killed_while_it_waited_is_nobodys_fault() -> None:
    forks.start()
    before = _ready_of(forks.COMMAND)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    # To its very end: as long as it has its socket open, it could be given a job.
    wait_until(lambda: all(_state_of(pid) == "Z" for pid in before), 10, "they still run")
    with Parsers(Limits(parse_processes=1)) as running:
        ((_, rows),) = running.parse([Task("0", "python", b"A = 1")], lambda: None)
    assert (rows.symbol_count, rows.skip_reason) == (1, None)


def test_a_language_that_is_new_to_the_server_is_loaded_once_for_all_parsers() -> None:
    command = forks.COMMAND[: forks.COMMAND.index("python")]
    forks.start(command)
    before = _ready_of(command)
    with Parsers(Limits(parse_processes=1), command=command) as running:
        ((_, rows),) = running.parse([Task("0", "go", b"package a\nfunc F() {}\n")], lambda: None)
        assert rows.symbol_count == 1
        (pid,) = [pid for pid in _parsers() if "tree_sitter_go" in Path(f"/proc/{pid}/maps").read_text()]
        assert pid not in before


@pytest.mark.parametrize("content", [b"A = 1\n" * 1000, b""], ids=["files", "empty ones"])
def test_a_few_go_to_all_parsers_alike(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    given: Counter[int] = Counter()
    send = parsers._Parser.send

    def count(parser: parsers._Parser, batch: Sequence[Task]) -> None:
        given[id(parser)] += len(batch)
        send(parser, batch)

    monkeypatch.setattr(parsers._Parser, "send", count)
    with Parsers(Limits(parse_processes=2)) as running:
        tasks = (Task(str(n), "python", content) for n in range(24))
        assert len(list(running.parse(tasks, lambda: None))) == 24
    assert sorted(given.values()) == [12, 12]


def test_parsers_that_wait_end_with_their_server() -> None:
    forks.start()
    before = _ready_of(forks.COMMAND)
    for pid in _servers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_is_running, before)), 10, "they wait for nobody")


def test_a_fork_server_that_was_killed_is_replaced(index: Index, make_repository: Make) -> None:
    forks.start(PARSER_WITH_TRICKS)
    before = _servers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    report = index.run(make_repository({"a.py": "def f(): pass\n"}).url, parser_command=PARSER_WITH_TRICKS)
    assert report.symbols_extracted == 1
    assert _servers()
    assert not _servers() & before


def test_a_fork_server_that_is_killed_takes_no_parser_with_it_that_works() -> None:
    tasks = (Task(str(n), "python", b"A = 1") for n in range(200))
    with Parsers(Limits(parse_processes=1)) as running:
        answers = running.parse(tasks, lambda: None)
        found = [next(answers)]
        for pid in _servers():
            os.kill(pid, signal.SIGKILL)
        found += answers
    assert [rows.symbol_count for _, rows in found] == [1] * 200


def test_a_fork_of_this_process_has_a_fork_server_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "forking.py"
    script.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from indexing.limits import Limits\n"
        "from indexing.parsers import Parsers, Task\n"
        "def parse():\n"
        "    with Parsers(Limits(parse_processes=1)) as parsers:\n"
        "        ((_, rows),) = parsers.parse([Task('0', 'python', b'A = 1')], lambda: None)\n"
        "    assert rows.symbol_count == 1\n"
        "parse()\n"
        "pid = os.fork()\n"
        "parse()\n"
        "if pid == 0:\n"
        "    assert Path(f'/proc/self/task/{os.getpid()}/children').read_text(), 'no server of its own'\n"
        "else:\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "    parse()\n"
    )
    subprocess.run([sys.executable, "-W", "error", str(script)], check=True, timeout=30)


def test_parsers_give_way_to_whoever_answers_people_also_when_two_begin_at_once() -> None:
    wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + priority.NICENESS)
    with Parsers(Limits(parse_processes=2)) as running:
        done = list(running.parse([Task(str(n), "python", b"") for n in range(100)], lambda: None))
        assert len(done) == 100
        pids = _parsers()
        assert len(pids) == 2
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {wanted}
        assert {os.getsid(pid) for pid in pids} == pids
        if os.access("/proc/self/autogroup", os.W_OK):
            wait_until(lambda: all(_gives_way_as_a_session(running, pid) for pid in pids), 10, "both do")


def _gives_way_as_a_session(running: Parsers, pid: int) -> bool:
    """Whether it does behind some more files: so many that each parser gets some."""
    list(running.parse([Task(str(n), "python", b"") for n in range(100)], lambda: None))
    return Path(f"/proc/{pid}/autogroup").read_text().endswith(f" nice {priority.SESSION_NICENESS}\n")
