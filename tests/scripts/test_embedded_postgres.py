"""A server of our own: one per directory, found again, stopped cleanly, and gone when its owner is gone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import embedded_postgres
import postgres_programs
import psycopg2
import pytest
from embedded_postgres import EmbeddedPostgres, is_port_free
from postgres_programs import Identity, PostgresError
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

LAUNCHER = Path(embedded_postgres.__file__)


def ask(url: str, question: str) -> object:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(question)
            row = cursor.fetchone() if cursor.description else None
    return row and row[0]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster to be kept, not started yet; port 0: tests must not fight for the usual one."""
    server = EmbeddedPostgres(tmp_path / "a directory with spaces and é" / "postgres", port=0)
    yield server
    server.stop(immediate=True)


def launch(directory: Path, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, LAUNCHER, verb, "--directory", directory, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class TestCluster:
    def test_speaks_utf8_and_listens_on_loopback_with_a_password_only(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()

        assert ask(url, "SELECT lower('É')") == "é"
        assert ask(url, "SELECT current_setting('listen_addresses')") == "127.0.0.1"
        assert ask(url, "SELECT current_setting('unix_socket_directories')") == ""
        with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
            psycopg2.connect(re.sub(r":[^:@]+@", "@", url), passfile=os.devnull)
        assert (kept.directory / "password").stat().st_mode & 0o077 == 0

    def test_keeps_its_data_its_port_and_its_url_between_runs(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        kept.stop()

        assert kept.pid is None
        assert kept.start() == url
        assert ask(url, "SELECT answer FROM kept") == 42

    def test_that_runs_is_used_again_by_another_process(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()
        pid = kept.pid

        again = launch(kept.directory, "start")

        assert (again.returncode, again.stdout.strip()) == (0, url)
        assert kept.pid == pid
        assert launch(kept.directory, "status").stdout.startswith(f"running on port {kept.port}, process {pid}")

    def test_is_started_once_when_several_start_it_at_the_same_moment(self, kept: EmbeddedPostgres) -> None:
        command: list[str | Path] = [sys.executable, LAUNCHER, "start", "--directory", kept.directory, "--port", "0"]
        starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

        urls = {start.communicate(timeout=60)[0].strip() for start in starts}

        assert [start.returncode for start in starts] == [0, 0, 0]
        assert urls == {kept.url}

    def test_whose_making_was_interrupted_is_made_anew(self, kept: EmbeddedPostgres) -> None:
        half_made = kept.directory / "data.making"
        half_made.mkdir(parents=True)
        (half_made / "PG_VERSION").write_text("18\n")

        assert ask(kept.start(), "SELECT 1") == 1
        assert not half_made.exists()

    def test_comes_back_after_its_postmaster_was_killed(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()
        ask(url, "CREATE TABLE survivor AS SELECT 1 AS n")
        killed = kept.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        # A second launcher: for it the dead postmaster, unreaped by us, is a zombie that answers signal 0.
        again = launch(kept.directory, "start")

        assert (again.returncode, again.stdout.strip()) == (0, url)
        assert kept.pid not in (None, killed)
        assert ask(url, "SELECT n FROM survivor") == 1

    def test_is_not_fooled_by_a_pid_file_that_names_a_stranger(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()
        pid_file = kept.data_directory / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        kept.stop()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

        assert kept.pid is None
        assert kept.start() == url

    def test_finds_another_port_when_its_own_is_taken_and_stays_there(self, kept: EmbeddedPostgres) -> None:
        kept.start()
        first = kept.port
        kept.stop()
        with closing(socket.create_server(("127.0.0.1", first))):
            kept.start()
            second = kept.port
            assert second != first
            assert ask(kept.url, "SELECT 1") == 1
        kept.stop()

        kept.start()
        assert kept.port == second

    def test_takes_the_wanted_port_when_it_is_free(self, tmp_path: Path) -> None:
        wanted = next(port for port in embedded_postgres.FREE_PORTS if is_port_free(port))
        server = EmbeddedPostgres(tmp_path / "postgres", port=wanted)
        try:
            server.start()
            assert server.port == wanted
        finally:
            server.stop(immediate=True)

    def test_stops_while_a_client_is_connected(self, kept: EmbeddedPostgres) -> None:
        with closing(psycopg2.connect(kept.start())) as client:
            kept.stop(deadline_seconds=10)
            assert kept.pid is None
            with pytest.raises(psycopg2.OperationalError), client.cursor() as cursor:
                cursor.execute("SELECT 1")

    def test_stops_hard_when_a_fast_stop_misses_its_deadline(self, kept: EmbeddedPostgres) -> None:
        kept.start()
        pid = kept.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # Deaf to everything but SIGKILL.

        kept.stop(deadline_seconds=0.2)

        assert kept.pid is None
        kept.start()

    def test_that_is_stopped_can_be_stopped_again(self, kept: EmbeddedPostgres) -> None:
        kept.stop()
        kept.start()
        kept.stop()
        kept.stop()

        assert launch(kept.directory, "stop").returncode == 0
        assert launch(kept.directory, "status").returncode == 3

    def test_reads_new_settings_without_a_restart(self, kept: EmbeddedPostgres) -> None:
        url = kept.start()
        pid = kept.pid

        kept.reload({"idle_session_timeout": "5min", "cluster_name": "it's ours"})

        assert ask(url, "SELECT current_setting('idle_session_timeout')") == "5min"
        assert kept.pid == pid
        kept.stop()
        kept.start()
        assert ask(url, "SELECT current_setting('cluster_name')") == "it's ours"

    def test_that_cannot_start_says_why(self, kept: EmbeddedPostgres) -> None:
        kept.start()
        kept.stop()
        kept.settings["shared_buffers"] = "lots"

        with pytest.raises(
            PostgresError, match=r"expected the server to start, but it ended; see .*log.*shared_buffers"
        ):
            kept.start()

    def test_has_no_url_before_its_first_start(self, tmp_path: Path) -> None:
        answer = launch(tmp_path / "postgres", "url")

        assert answer.returncode == 1
        assert "expected a server to have been started" in answer.stderr


class TestPrograms:
    def test_named_by_pg_bindir_must_be_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PG_BINDIR", str(tmp_path))

        with pytest.raises(PostgresError, match="expected PG_BINDIR to be a directory with initdb"):
            postgres_programs.find_bin_directory()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
    def test_run_as_nobody_where_no_user_namespace_is_allowed(
        self, monkeypatch: pytest.MonkeyPatch, everybodys_directory: Path
    ) -> None:
        programs = postgres_programs.find_bin_directory()
        if not postgres_programs._nobody().can_use(programs, Path("/dev/shm")):
            pytest.skip("nobody may not enter the directory of the Postgres programs here")
        monkeypatch.setattr(postgres_programs, "_in_user_namespace", list)
        server = EmbeddedPostgres(everybodys_directory / "postgres", port=0)
        try:
            url = server.start()
            os.kill(server.pid or 0, signal.SIGKILL)
            assert server.start() == url
            assert server.data_directory.stat().st_uid == postgres_programs._nobody().user
        finally:
            server.stop(immediate=True)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
    def test_run_for_a_user_without_a_name(self, everybodys_directory: Path) -> None:
        nameless = 54_321
        directory = everybodys_directory / "postgres"
        directory.mkdir()
        os.chown(directory, nameless, nameless)
        programs = postgres_programs.find_bin_directory()
        allowed = postgres_programs._in_user_namespace(Identity(user=nameless, group=nameless))
        if not any(each.can_use(programs, directory) for each in allowed):
            pytest.skip("no user namespace may be made here, or the programs are out of reach")
        server = EmbeddedPostgres(directory, port=0)
        try:
            assert ask(server.start(), "SELECT 1") == 1
            assert server.data_directory.stat().st_uid == nameless
        finally:
            server.stop(immediate=True)


@pytest.fixture
def everybodys_directory() -> Iterator[Path]:
    """A directory whose parents everybody may enter; pytest's own are private."""
    directory = Path(tempfile.mkdtemp(prefix="indexq-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


OWNER = """
import sys
from throwaway_postgres import ThrowawayPostgres
with ThrowawayPostgres() as server:
    print(server.directory, server.pid, server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """Another process with a throw-away server."""
    environment = {**os.environ, "PYTHONPATH": str(LAUNCHER.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    yield process
    process.kill()
    process.communicate()


class TestThrowaway:
    def test_is_gone_without_a_trace_when_it_is_left(self) -> None:
        with ThrowawayPostgres() as server:
            assert ask(server.url, "SELECT current_setting('fsync')") == "off"
            pid, directory = server.pid, server.directory

        assert not directory.exists()
        assert not is_alive(pid)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_is_gone_when_its_owner_is_killed(self, owner: subprocess.Popen[str], number: signal.Signals) -> None:
        assert owner.stdout is not None
        directory, pid, url = owner.stdout.readline().split()
        segment = segment_of(Path(directory))
        assert segment in shared_memory_segments()

        with closing(psycopg2.connect(url)):
            owner.send_signal(number)
            owner.wait(20)
            wait_until(lambda: not Path(directory).exists(), 20, "the server's files are removed")

        wait_until(lambda: not is_alive(int(pid)), 20, "the server is gone")
        assert segment not in shared_memory_segments()

    def test_that_was_killed_itself_leaves_nothing_either(self) -> None:
        with ThrowawayPostgres() as server:
            assert server.pid is not None
            segment = segment_of(server.directory)
            assert segment in shared_memory_segments()
            os.kill(server.pid, signal.SIGKILL)

        assert not server.directory.exists()
        assert segment not in shared_memory_segments()

    def test_can_be_stopped_and_started_with_its_port_and_data(
        self, throwaway_server: Callable[..., ThrowawayPostgres]
    ) -> None:
        server = throwaway_server(settings={"max_connections": "17"})
        url = server.url
        ask(url, "CREATE TABLE kept AS SELECT 1 AS n")

        server.stop(immediate=True)
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(url)
        server.start()

        assert server.url == url
        assert ask(url, "SELECT n FROM kept") == 1
        assert ask(url, "SELECT current_setting('max_connections')") == "17"


def is_alive(pid: int | None) -> bool:
    """Alive and not a zombie that its parent has yet to reap."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip() not in ("",) and not state.stdout.strip().startswith("Z")


def segment_of(directory: Path) -> str:
    """The id of the System V segment that the server in a directory made."""
    return EmbeddedPostgres(directory).pid_file_lines()[6].split()[-1]


def shared_memory_segments() -> frozenset[str]:
    """Ids of the System V segments on this machine; Linux only, elsewhere none."""
    table = Path("/proc/sysvipc/shm")
    if not table.exists():
        return frozenset()
    return frozenset(line.split()[1] for line in table.read_text().splitlines()[1:])


def test_a_full_disk_is_one_line_and_makes_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded_postgres.ROOM", 2**62)
    with pytest.raises(PostgresError, match=r"^expected \d+ MB free on the disk of .* got: \d+ MB; make room$"):
        EmbeddedPostgres(tmp_path, port=0).start()
    assert not (tmp_path / "data").exists()
