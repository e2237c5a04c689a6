"""One real Postgres server per test process; one fresh database per test.

Without configuration a throw-away server is started from the embedded Postgres programs. `TEST_DATABASE_URL`
names another server instead; its user must be allowed to create databases.

With `--pooler`, what is tested reaches its database through a real pgbouncer in transaction mode, with a pool of four
for each database; what tests look at and change by themselves (`sql`, ledgers, templates) goes the direct way. A test
that makes no sense there says why: `@pytest.mark.direct("reason")`.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from psycopg2.sql import SQL, Identifier
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler
from throwaway_postgres import ThrowawayPostgres

from settings import variable_names

REPOSITORY = Path(__file__).resolve().parent.parent

#: Schemas of the product, and the directory of their migrations (None: the runner's own).
SCHEMAS: dict[str, Path | None] = {"dramatiq": None, "indexing": REPOSITORY / "indexing" / "migrations"}


#: Files that take the longest, in this order: they begin first, so that the processes end together.
LONGEST = (
    "test_pages.py",
    "test_dev_start.py",
    "test_crashes.py",
    "test_bootstrap.py",
    "test_drains.py",
    "test_outages.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pooler", action="store_true", help="Through a pgbouncer in transaction mode (Debian package).")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first. Leave out what makes no sense through a pooler, with its reason; all without pgbouncer."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if not config.getoption("pooler"):
        return
    for item in items:
        if PROGRAM is None:
            item.add_marker(pytest.mark.skip(reason="--pooler needs pgbouncer: apt-get install pgbouncer"))
        elif (marker := item.get_closest_marker("direct")) is not None:
            item.add_marker(pytest.mark.skip(reason=f"not through a pooler: {marker.args[0]}"))


def pytest_configure() -> None:
    """Forget what the person's shell says of databases and of this product: tests say so themselves.

    A shell starts what it puts into the background with Ctrl+C ignored; programs that tests start would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in list(os.environ):
        if name in variable_names() or (name.startswith("PG") and name != "PG_BINDIR"):
            del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed or logged goes from one process to another, which takes no lone surrogates."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def _fresh_names() -> Iterator[str]:
    """Names that no other test process, and no earlier one that was killed, has used on a shared server."""
    prefix = f"test_{os.getpid()}_{secrets.token_hex(3)}"
    return (f"{prefix}_{number}" for number in itertools.count())


@dataclass
class Server:
    """A running server on which tests make and drop databases; `url` is that of its maintenance database."""

    url: str
    _names: Iterator[str] = field(default_factory=_fresh_names)
    _connection: psycopg2.extensions.connection | None = None

    def url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    def create_database(self, template: str = "template0") -> str:
        """Make a database and return its name. FILE_COPY: a checkpoint, but no page through the log."""
        name = next(self._names)
        self.run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        return name

    def drop_database(self, name: str) -> None:
        """Away with it, whoever is still connected."""
        self.run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def run(self, statement: str, *names: str) -> None:
        """Run one statement as the server's administrator; each {} is a name, quoted as one."""
        if self._connection is None:
            self._connection = psycopg2.connect(self.url)
            self._connection.autocommit = True  # CREATE and DROP DATABASE refuse a transaction.
        with self._connection.cursor() as cursor:
            cursor.execute(SQL(statement).format(*map(Identifier, names)))

    def advisory_locks(self, database: str | None = None) -> int:
        """Advisory locks that anybody holds: in one database, or in all."""
        self.run("SELECT")
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                " WHERE l.locktype = 'advisory' AND d.datname = coalesce(%s, d.datname)",
                [database],
            )
            ((count,),) = cursor.fetchall()
            return int(count)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that all tests of this process share. Tests that harm a server use `throwaway_server`."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield Server(given)
        return
    with ThrowawayPostgres() as throwaway:
        made = Server(throwaway.url)
        yield made
        assert made.advisory_locks() == 0, "a session lock has leaked"


@pytest.fixture
def throwaway_server() -> Iterator[Callable[..., ThrowawayPostgres]]:
    """Makes started servers that a test may stop, kill and reload: `throwaway_server(settings={...})`."""
    with ExitStack() as servers:

        def make(**options: Any) -> ThrowawayPostgres:
            return servers.enter_context(ThrowawayPostgres(**options))

        yield make


@pytest.fixture(scope="session")
def through_pooler(pytestconfig: pytest.Config) -> Iterator[Callable[[str], str]]:
    """How what is tested reaches a database whose URL is given: with `--pooler` through one, otherwise as it is."""
    poolers: dict[str, Pooler] = {}
    with ExitStack() as running:

        def url_of(url: str) -> str:
            if not pytestconfig.getoption("pooler"):
                return url
            place = urlsplit(url).netloc
            if place not in poolers:
                poolers[place] = running.enter_context(Pooler(url))
            return poolers[place].url_of(url)

        yield url_of


@pytest.fixture
def empty_database(server: Server, through_pooler: Callable[[str], str]) -> Iterator[str]:
    """The URL of a fresh database with nothing in it."""
    name = server.create_database()
    yield through_pooler(server.url_of(name))
    assert server.advisory_locks(name) == 0, "a session lock has leaked"
    server.drop_database(name)


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """The name of a database in which every migration has run; to be cloned, never to be connected to."""
    from leasequeue.migrations import migrate  # Late: tests of other rooms must not need it.

    name = server.create_database()
    for schema, directory in SCHEMAS.items():
        if directory is None:
            migrate(server.url_of(name), schema=schema)
        else:
            migrate(server.url_of(name), schema=schema, directory=directory)
    yield name
    server.drop_database(name)


@pytest.fixture
def direct_database(server: Server, template: str) -> Iterator[str]:
    """The URL of a fresh, migrated database, without a pooler in between."""
    name = server.create_database(template)
    yield server.url_of(name)
    assert server.advisory_locks(name) == 0, "a session lock has leaked"
    server.drop_database(name)


@pytest.fixture
def database(direct_database: str, through_pooler: Callable[[str], str]) -> str:
    """The same database as what is tested has it: with `--pooler` through one."""
    return through_pooler(direct_database)


@pytest.fixture
def sql(direct_database: str) -> Iterator[Sql]:
    """Asks and changes the test's database: ``sql("SELECT ... %s", value)``."""
    connection = psycopg2.connect(direct_database)
    connection.autocommit = True

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()
