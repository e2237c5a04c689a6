"""The examples for API developers, run as they stand: psql, and TypeScript with pg and with postgres on Node.

Each connects as a role that may call the queue's functions and ask for indexing, and nothing else; the grant is that
of docs/api-developers.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from git_repositories import Repository
from postgres_programs import find_bin_directory
from processes import Command
from throwaway_pgbouncer import PROGRAM, Pooler
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

#: The oldest Node that the examples and their tools run on.
OLDEST_NODE = 20

#: Seconds for npm to fetch what the example asks for: 50 MB.
NPM_SECONDS = 240

#: Seconds between two looks of an idle worker at the queue, and what a busy machine may add to them.
POLL_SECONDS, SLACK_SECONDS = 1.0, 2.0


def node_is_new_enough() -> bool:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return int((re.match(r"v(\d+)", version) or ["", "0"])[1]) >= OLDEST_NODE


@pytest.fixture(scope="module")
def server() -> Iterator[ThrowawayPostgres]:
    """A server of this room's own: roles belong to a whole server."""
    with ThrowawayPostgres() as server:
        yield server


class Api:
    """A migrated database, and the URL of an API that has what docs/api-developers.md grants."""

    def __init__(self, owner_url: str) -> None:
        self.owner_url = owner_url
        parts = urlsplit(owner_url)
        self.url = urlunsplit(parts._replace(netloc=f"api:api-password@{parts.hostname}:{parts.port}"))

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.owner_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@pytest.fixture(scope="module")
def api(server: ThrowawayPostgres, tmp_path_factory: pytest.TempPathFactory) -> Api:
    api = Api(server.url)
    for arguments in (("migrate",), ("roles", "--apply")):
        command = Command(
            [Path(sys.executable).with_name("indexq"), *arguments],
            {"SUPABASE_DB_URL": api.owner_url},
            tmp_path_factory.mktemp("indexq"),
        )
        assert command.wait() == 0, command.stderr
    page = (ROOT / "docs" / "api-developers.md").read_text()
    (grants,) = re.findall(r"```sql\n(CREATE ROLE api .*?)```", page, re.DOTALL)
    api.ask(grants)
    return api


@pytest.fixture
def worker(api: Api, tmp_path: Path) -> Iterator[Command]:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    environ = {"SUPABASE_DB_URL": api.owner_url, "INDEX_PARALLELISM": "1", "POLL_INTERVAL": str(POLL_SECONDS)}
    started = Command(command, environ, tmp_path)
    started.wait_to_say("is ready for action", 60)
    yield started
    started.remove()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "shapes", {"square.py": "class Square: ...\n"})


def waited(api: Api, job_id: str) -> float:
    """Seconds from the send of a completed job to its start."""
    question = "SELECT extract(epoch FROM started_at - enqueued_at)::float8 FROM dramatiq.done WHERE message_id = %s"
    ((seconds,),) = wait_until(lambda: api.ask(question, job_id), 30, "the job to be completed")
    return float(seconds)


def statuses(api: Api, url: str) -> list[tuple[str, bool]]:
    """Of the jobs of a repository: how they stand, and whether they name the queue's job."""
    return api.ask(
        "SELECT status, message_id IS NOT NULL FROM indexing.index_jobs AS j "
        "JOIN indexing.repositories AS r ON r.id = repository_id WHERE url = %s",
        url,
    )


@pytest.mark.usefixtures("worker")
def test_psql_sends_what_it_commits_and_nothing_else(api: Api, repository: Repository) -> None:
    answer = subprocess.run(
        [
            *(find_bin_directory() / "psql", "--quiet", "--tuples-only", "--no-align", "--no-psqlrc"),
            *("-v", f"repository={repository.url}", "-f", EXAMPLES / "psql" / "send.sql", api.url),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    (rolled_back, known), (committed, state) = (line.split("|") for line in answer.stdout.split())

    assert (known, state) == ("0", "ready")
    assert rolled_back != committed
    assert waited(api, committed) < POLL_SECONDS + SLACK_SECONDS
    wait_until(lambda: statuses(api, repository.url) == [("completed", True)], 10, "the row to say so")


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as somebody copies it, with what it asks for."""
    directory = tmp_path_factory.mktemp("typescript") / "example"
    shutil.copytree(EXAMPLES / "typescript", directory, ignore=shutil.ignore_patterns("node_modules"))
    npm(directory, "install", "--no-fund", "--no-audit", "--no-package-lock", "--ignore-scripts")
    return directory


def npm(directory: Path, *arguments: str) -> None:
    answer = subprocess.run(
        ["npm", *arguments], cwd=directory, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


needs_node = pytest.mark.skipif(
    not node_is_new_enough(), reason=f"Node {OLDEST_NODE} or newer and npm are not installed: the clients did not run"
)


@needs_node
@pytest.mark.timeout(NPM_SECONDS + 60)
def test_the_typescript_passes_its_compiler(typescript: Path) -> None:
    npm(typescript, "run", "check")


def demo(typescript: Path, driver: str, repository: Repository, database: str) -> list[dict[str, Any]]:
    """What demo.ts says, step by step."""
    answer = subprocess.run(
        [typescript / "node_modules" / ".bin" / "tsx", "demo.ts", driver, repository.url],
        cwd=typescript,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


@needs_node
@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer")
@pytest.mark.timeout(NPM_SECONDS + 60)
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("driver", ["pg", "postgres"])
def test_both_drivers_do_the_same_through_a_transaction_pooler(
    driver: str, typescript: Path, api: Api, repository: Repository
) -> None:
    with Pooler(api.owner_url) as pooler:
        rolled_back, _, ended, _ = demo(typescript, driver, repository, pooler.url_of(api.owner_url))

    assert rolled_back["job"] is None
    assert ended["job"]["state"] == "completed"


@needs_node
@pytest.mark.timeout(NPM_SECONDS + 60)
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("driver", ["pg", "postgres"])
def test_typescript_sends_what_it_commits_and_nothing_else(
    driver: str, typescript: Path, api: Api, repository: Repository
) -> None:
    rolled_back, committed, ended, refused = demo(typescript, driver, repository, api.url)

    assert rolled_back["job"] is None
    assert api.ask("SELECT count(*) FROM indexing.index_jobs WHERE id = %s", rolled_back["indexJobId"]) == [(0,)]
    assert not committed["merged"]
    assert ended["job"]["state"] == "completed"
    assert ended["job"]["result"] == {"success": True, "files_processed": 1, "symbols_extracted": 1, "error": None}
    assert waited(api, committed["jobId"]) < POLL_SECONDS + SLACK_SECONDS
    assert statuses(api, repository.url) == [("completed", True)]
    assert refused["code"] == "22023"
    assert "expected an option of" in refused["message"]


class TestThePage:
    """docs/api-developers.md says what the functions do."""

    page = (ROOT / "docs" / "api-developers.md").read_text()

    def section(self, title: str) -> str:
        return self.page.partition(f"\n## {title}")[2].partition("\n## ")[0]

    def test_names_each_argument_with_its_type_and_default(self, api: Api) -> None:
        ((arguments,),) = api.ask("SELECT pg_get_function_arguments('dramatiq.enqueue'::regproc)")
        told = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\S+) \|", self.section("Send"), re.MULTILINE)

        assert [f"{name} {kind}" for name, kind, _ in told] == re.findall(r"(?:^|, )(\w+ \w+)", arguments)
        defaults = dict(re.findall(r"(\w+) \w+ DEFAULT ('.*?'|NULL)::", arguments))
        for name, _, default in told[1:]:
            assert defaults[name] == ("NULL" if default == "none" else f"'{default.strip('`')}'").replace(
                "'0'", "'00:00:00'"
            )

    def test_names_each_column_and_state_of_a_job(self, api: Api) -> None:
        ((columns,),) = api.ask("SELECT pg_get_function_result('dramatiq.job'::regproc)")
        ((source,),) = api.ask("SELECT prosrc FROM pg_proc WHERE oid = 'dramatiq.job'::regproc")
        section = self.section("Ask")

        for name in re.findall(r"(?:\(|, )(\w+) ", columns):
            assert re.search(rf"\b{name}\b", section), name
        states = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) - {"state"}
        assert states == set(re.findall(r"(?:THEN|ELSE) '(\w+)'", source))

    @pytest.mark.parametrize(
        ("code", "call"),
        [
            ("22023", "dramatiq.enqueue('')"),
            ("22P02", "dramatiq.enqueue('a', '[1')"),
            ("22P05", r"""dramatiq.enqueue('a', '["\u0000"]')"""),
            ("54000", "dramatiq.enqueue('a', to_jsonb(ARRAY[repeat('x', 1048576)]))"),
            ("42501", "dramatiq.place(NULL, NULL, NULL, NULL, NULL, NULL, NULL)"),
            ("3F000", "elsewhere.enqueue('a')"),
            ("42883", "dramatiq.enqueue_it('a')"),
        ],
    )
    def test_has_each_error_that_a_caller_can_make(self, code: str, call: str, api: Api) -> None:
        with (
            closing(psycopg2.connect(api.url)) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.Error) as refused,
        ):
            cursor.execute(f"SELECT * FROM {call}")
        assert refused.value.pgcode == code
        assert f"`{code}`" in self.section("Errors")
