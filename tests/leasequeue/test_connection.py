"""What a session is made with."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import psycopg2

from leasequeue.connection import Connection, keep_moving, session_defaults

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


def test_little_is_on_its_way_to_a_server_on_the_same_machine_and_to_no_other_one(database: str) -> None:
    def segment_and_room(fileno: int) -> tuple[int, int]:
        with socket.socket(fileno=os.dup(fileno)) as own:
            if own.family not in (socket.AF_INET, socket.AF_INET6):
                return 0, 0
            segment = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            return segment, own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    with closing(psycopg2.connect(database)) as plain, closing(Connection(database, "send")) as ours:
        segment, before = segment_and_room(plain.fileno())
        # Two fit into what a server keeps for a session that nobody has written much to.
        expected = 32 * 1024 if segment > 9000 else before
        assert segment_and_room(ours._raw.fileno()) == (segment, expected)


def test_a_session_through_a_file_of_the_system_is_as_it_was() -> None:
    ours, theirs = socket.socketpair()

    class Session:
        def fileno(self) -> int:
            return ours.fileno()

    with ours, theirs:
        before = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        keep_moving(Session())  # type: ignore[arg-type]
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
