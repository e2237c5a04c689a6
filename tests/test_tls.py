"""TLS to the database, as Supabase's poolers speak it: each sslmode through the URL, and clear words when it fails.

The server is a real pgbouncer that takes clients with TLS alone; its certificate is of a CA made for the test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from certificates import OPENSSL, Authority
from processes import Command
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler
from waiting import wait_until

from leasequeue import DatabaseUnavailable
from leasequeue.connection import Connection
from settings import ConnectionProblem, check_connection

pytestmark = pytest.mark.skipif(
    PROGRAM is None or OPENSSL is None,
    reason="TLS is not tested: expected pgbouncer and openssl, apt-get install pgbouncer openssl",
)


class Place:
    """A database behind TLS, and the CA that has signed for it."""

    def __init__(self, pooler: Pooler, database: str, authority: Authority, other: Authority) -> None:
        self._pooler = pooler
        self._database = database
        self.ca = authority.certificate
        self.other_ca = other.certificate

    def url(self, host: str = "localhost", **parameters: object) -> str:
        """The URL with these parameters; ``localhost`` is the name that the certificate is for."""
        parts = urlsplit(self._pooler.url_of(self._database))
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
        return urlunsplit(parts._replace(netloc=parts.netloc.replace("127.0.0.1", host), query=query))


@pytest.fixture
def place(direct_database: str, tmp_path: Path) -> Iterator[Place]:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other-ca")
    with Pooler(direct_database, certificate=authority.sign("localhost")) as pooler:
        yield Place(pooler, direct_database, authority, other)


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_each_mode_that_encrypts_opens_a_session(mode: str, place: Place) -> None:
    url = place.url(sslmode=mode, sslrootcert=place.ca)
    check_connection(url)
    connection = Connection(url, "test")
    assert connection.execute("SELECT 1", timeout=5) == [(1,)]
    assert connection._raw.info.ssl_in_use
    connection.close()


def test_a_server_that_insists_on_tls_is_told_from_one_that_is_away(place: Place) -> None:
    with pytest.raises(ConnectionProblem, match="sslmode=require or stronger: the server takes nothing else"):
        check_connection(place.url(sslmode="disable"))


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_the_wrong_ca_is_said_at_once_and_clearly(mode: str, place: Place) -> None:
    url = place.url(sslmode=mode, sslrootcert=place.other_ca)
    with pytest.raises(ConnectionProblem) as problem:
        check_connection(url)
    assert "expected SUPABASE_DB_URL to have the CA of the server in sslrootcert" in str(problem.value)
    assert str(urlsplit(url).password) not in str(problem.value)
    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        Connection(url, "test")


def test_another_host_name_than_that_of_the_certificate_is_refused_by_verify_full_alone(place: Place) -> None:
    check_connection(place.url("127.0.0.1", sslmode="verify-ca", sslrootcert=place.ca))
    with pytest.raises(ConnectionProblem, match="the name for which the server's certificate was made"):
        check_connection(place.url("127.0.0.1", sslmode="verify-full", sslrootcert=place.ca))


def test_a_ca_file_that_is_not_there_is_named_as_what_is_missing(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ConnectionProblem, match="the file of its CA where sslrootcert says"):
        check_connection(place.url(sslmode="verify-full", sslrootcert=tmp_path / "nothing.crt"))


def test_a_worker_works_through_a_verified_connection_and_says_why_it_cannot_start_with_the_wrong_ca(
    place: Place, tmp_path: Path, sql: Sql
) -> None:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]

    def start(ca: Path) -> Command:
        environ = {"SUPABASE_DB_URL": place.url(sslmode="verify-full", sslrootcert=ca), "TMPDIR": str(tmp_path)}
        return Command(command, environ, tmp_path)

    wrong = start(place.other_ca)
    try:
        assert wrong.wait() != 0
        assert "The worker cannot start: no session with the database localhost:" in wrong.stderr
        assert "certificate verify failed" in wrong.stderr
    finally:
        wrong.remove()
    right = start(place.ca)
    try:
        right.wait_to_say("is ready for action", 30)
        wait_until(lambda: sql("SELECT count(*) FROM dramatiq.worker") == [(1,)], 10, "it is not registered")
        right.process.terminate()
        assert right.wait() == 0
    finally:
        right.remove()
