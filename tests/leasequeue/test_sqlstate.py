"""One table says what each SQLSTATE means to the loops."""

from __future__ import annotations

import psycopg2.errors
import pytest

from leasequeue import errors
from leasequeue.connection import Connection
from leasequeue.sqlstate import PASSING, RECONNECT, Trouble, classify


@pytest.mark.parametrize(
    ("sqlstate", "trouble"),
    [
        (None, Trouble.CONNECTION),
        ("08006", Trouble.CONNECTION),  # connection failure
        ("57P01", Trouble.CONNECTION),  # admin shutdown
        ("57P03", Trouble.CONNECTION),  # cannot connect now
        ("25006", Trouble.READ_ONLY),  # read-only transaction
        ("53300", Trouble.OVERLOAD),  # too many connections
        ("53200", Trouble.OVERLOAD),  # out of (shared) memory
        ("53100", Trouble.DISK_FULL),
        ("40001", Trouble.CONFLICT),  # serialization failure
        ("40P01", Trouble.CONFLICT),  # deadlock
        ("55P03", Trouble.CONFLICT),  # lock timeout
        ("57014", Trouble.CONFLICT),  # statement timeout
        ("22P05", Trouble.DATA),  # untranslatable character: NUL in jsonb
        ("23505", Trouble.DATA),
        ("54000", Trouble.DATA),  # program limit exceeded
        ("42P01", Trouble.SCHEMA),  # undefined table
        ("42703", Trouble.SCHEMA),  # undefined column
        ("28P01", Trouble.ACCESS),  # wrong password
        ("42501", Trouble.ACCESS),  # insufficient privilege
        ("42601", Trouble.OTHER),  # syntax error: ours
        ("XX000", Trouble.OTHER),
    ],
)
def test_each_code_has_its_meaning(sqlstate: str | None, trouble: Trouble) -> None:
    assert classify(sqlstate) is trouble


def test_what_needs_a_new_session_may_pass_and_defects_may_not() -> None:
    assert RECONNECT <= PASSING
    assert not PASSING & {Trouble.DATA, Trouble.SCHEMA, Trouble.ACCESS, Trouble.OTHER}


@pytest.mark.parametrize(
    ("statement", "error", "keeps_session"),
    [
        ("SELECT * FROM nowhere", errors.SchemaMissing, True),
        ("SELECT 'x\\u0000'::jsonb", errors.MessageRefused, True),
        ("SELECT '{'::jsonb", errors.MessageRefused, True),
        ("SELEKT 1", errors.QueueError, True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", errors.DatabaseUnavailable, False),
        ("SET LOCAL statement_timeout TO 1; SELECT pg_sleep(5)", errors.DatabaseUnavailable, True),
        ("BEGIN READ ONLY; CREATE TABLE t ()", errors.DatabaseUnavailable, False),
    ],
)
def test_a_real_server_error_becomes_ours(
    statement: str, error: type[Exception], keeps_session: bool, database: str
) -> None:
    connection = Connection(database, "test")
    try:
        with pytest.raises(error):
            connection.execute(statement, timeout=5)
        assert connection.closed is not keeps_session
    finally:
        connection.close()


def test_a_refused_connection_is_unavailability_and_names_no_secret() -> None:
    with pytest.raises(errors.DatabaseUnavailable) as refused:
        Connection("postgresql://user:sesame@127.0.0.1:1/none", "test", connect_timeout=2)
    assert "sesame" not in str(refused.value)
    assert refused.value.trouble is Trouble.CONNECTION
    assert psycopg2.errors.lookup("25006") is psycopg2.errors.ReadOnlySqlTransaction
