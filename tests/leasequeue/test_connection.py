"""What a session is made with."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from leasequeue.connection import Connection, session_defaults

KERNEL = ["keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"]


def test_every_session_notices_a_server_that_is_gone_within_half_a_lease(database: str) -> None:
    with closing(psycopg2.connect(database, **session_defaults(database, "an application"))) as connection:
        known = connection.info.dsn_parameters
    assert known["application_name"] == "an application"
    _, idle, interval, count, unacknowledged = (int(known[name]) for name in KERNEL)
    assert idle + interval * count <= 10
    assert unacknowledged <= 10_000


def test_what_a_url_says_itself_wins(database: str) -> None:
    url = f"{database}?keepalives_idle=7&application_name=mine"
    known = session_defaults(url, "an application")
    assert "keepalives_interval" in known
    assert not {"keepalives_idle", "application_name"} & known.keys()
    with closing(Connection(url, "claim")) as connection:
        (told,) = connection.execute("SELECT current_setting('application_name')", timeout=5)
    assert told == ("mine",)
