"""Questions that find out what is wrong with a queue's database, or will be. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .. import errors, migrations, pooling
from ..connection import OLDEST_SERVER, Connection
from ..loop import CALL_TIMEOUT
from ..sqlstate import Trouble
from .drift import drift
from .facts import WorkerFacts
from .queues import Queues

if TYPE_CHECKING:
    from ..broker import LeaseBroker

#: Seconds for the answer to one question.
TIMEOUT = 10.0

#: Seconds by which clocks may differ before logs of two machines cannot be read together.
CLOCK_LIMIT = 2.0

#: Seconds that a transaction may be open: dead rows pile up in front of every claim meanwhile.
TRANSACTION_LIMIT = 60.0

#: Dead rows that vacuum should have removed: several times the table's own threshold, and more than are alive.
DEAD_ROWS_LIMIT = 50_000

#: Bytes of indexes beyond which their share counts, and how many times the table's size they may have.
INDEX_LIMIT = 256 * 1024**2
INDEX_SHARE = 4

#: Part of the server's connections that may be in use.
SESSIONS_LIMIT = 0.8

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question."""

    name: str
    #: failure: the queue does not work, or loses what it promises. warning: it is slower, or will be.
    level: Level
    #: What was found.
    told: str
    #: What to do; None when all is well.
    advice: str | None = None


class Doctor:
    """Asks the database of one broker, on two sessions of its own."""

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker
        self._queries = broker.queries

    def examine(self) -> Iterator[Finding]:
        """Ask everything, one finding a question. Raises ``DatabaseUnavailable`` when there is no session to be had.

        What this role may not ask is a warning that says so.
        """
        one = Connection(self._broker.url, "leasequeue doctor")
        try:
            other = Connection(self._broker.url, "leasequeue doctor")
            try:
                yield from self._examine(one, other)
            finally:
                other.close()
        finally:
            one.close()

    def _examine(self, one: Connection, other: Connection) -> Iterator[Finding]:
        questions: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
            ("server", lambda: self._server(one)),
            ("connection", lambda: self._connection(one, other)),
            ("clock", lambda: self._clock(one)),
            ("server settings", lambda: self._server_settings(one)),
            ("sessions", lambda: self._sessions(one)),
            ("old transactions", lambda: self._old_transactions(one)),
            ("schema", lambda: self._schema(one)),
            ("access", lambda: self._access(one)),
            ("dead rows", lambda: self._dead_rows(one)),
            ("workers", lambda: self._workers()),
        ]
        for name, ask in questions:
            try:
                yield from ask()
            except errors.SchemaMissing as error:
                yield Finding(name, "failure", str(error), "Migrate the schema.")
                return
            except errors.DatabaseUnavailable as error:
                if error.trouble is not Trouble.READ_ONLY:
                    raise
                yield Finding(name, "warning", f"could not be asked: {error}", "Ask a database that accepts writes.")
                return
            except errors.QueueError as error:
                yield Finding(name, "warning", f"could not be asked: {error}", "Ask again with a role that may.")

    def _server(self, connection: Connection) -> Iterator[Finding]:
        try:
            connection.check_server()
        except errors.ServerTooOld as error:
            yield Finding("server", "failure", str(error), "Nothing here was tested with it.")
        else:
            yield Finding("server", "ok", f"PostgreSQL {OLDEST_SERVER} or newer")

    def _connection(self, one: Connection, other: Connection) -> Iterator[Finding]:
        policy = self._broker.policy
        if self._broker.direct_url is None:
            way = pooling.find_way(one, other, self._queries)
        else:
            try:
                way = self._way_with_direct_url(self._broker.direct_url, one, other)
            except (errors.DatabaseUnavailable, errors.WrongDatabase) as error:
                yield Finding("direct connection", "failure", str(error), "Correct direct_url, or leave it out.")
                way = pooling.find_way(one, other, self._queries)
            else:
                yield Finding("direct connection", "ok", "leads to the same database")
        if way.kind is pooling.Kind.DIRECT:
            yield Finding("connection", "ok", way.kind.words)
        else:
            told = f"{way.kind.words}: a worker that dies is noticed by its silence, after {policy.lease:g} s"
            if way.notified:
                yield Finding("connection", "ok", told)
            else:
                advice = "Live with it, or use the direct connection or the session pooler for workers."
                yield Finding("connection", "warning", told, advice)
        if way.notified:
            yield Finding("notifications", "ok", "delivered")
        else:
            poll = f"LISTEN delivers nothing: jobs are found by polling, within {policy.poll_interval:g} s"
            advice = "Live with it, or give a direct_url, on which workers listen."
            yield Finding("notifications", "warning", poll, advice)

    def _way_with_direct_url(self, direct_url: str, one: Connection, other: Connection) -> pooling.Way:
        with closing(Connection(direct_url, "leasequeue doctor")) as direct:
            pooling.check_same_database(one, direct, self._queries)
            return pooling.find_way_apart(direct, one, other, self._queries)

    def _clock(self, connection: Connection) -> Iterator[Finding]:
        before = time.time()
        ((there,),) = connection.execute(self._queries["clock"], {}, timeout=TIMEOUT)
        here = (before + time.time()) / 2
        told = f"this machine's is {abs(here - there):.1f} s {'ahead of' if here > there else 'behind'} the database's"
        if abs(here - there) <= CLOCK_LIMIT:
            yield Finding("clock", "ok", told)
        else:
            advice = "The queue does not mind. Set the clock, or logs of two machines cannot be compared."
            yield Finding("clock", "warning", told, advice)

    def _server_settings(self, connection: Connection) -> Iterator[Finding]:
        rows = connection.execute(self._queries["server_settings"], {}, timeout=TIMEOUT)
        found = {name: setting for name, setting, _ in rows}
        problems: list[tuple[Level, str, str]] = []
        if found.get("transaction_read_only") == "on":
            problems.append(("failure", "the database accepts no writes", "Connect to the primary."))
        for name in ("fsync", "full_page_writes"):
            if found.get(name) == "off":
                problems.append(
                    ("warning", f"{name} is off: a crash of the machine destroys the database", "Turn it on.")
                )
        if found.get("synchronous_commit") == "off":
            told = "synchronous_commit is off: a job that was accepted may be lost when the server crashes"
            problems.append(("warning", told, "Turn it on for this role."))
        for name in ("autovacuum", "track_counts"):
            if found.get(name) == "off":
                problems.append(("warning", f"{name} is off: claims slow down with every job", "Turn it on."))
        for name in ("statement_timeout", "idle_session_timeout", "transaction_timeout"):
            seconds = int(found.get(name) or 0) / 1000
            if 0 < seconds < CALL_TIMEOUT:
                told = f"{name} is {seconds:g} s, less than the {CALL_TIMEOUT:g} s that a worker waits for an answer"
                problems.append(
                    ("warning", told, f"Raise it, or set it to 0, for this role: ALTER ROLE ... SET {name}.")
                )
        for level, told, advice in problems:
            yield Finding("server settings", level, told, advice)
        if not problems:
            yield Finding("server settings", "ok", "nothing in the way")

    def _sessions(self, connection: Connection) -> Iterator[Finding]:
        ((used, limit, unused, whose),) = connection.execute(self._queries["session_counts"], {}, timeout=TIMEOUT)
        told = f"{used} of {limit} in use"
        if unused:
            told += f", {unused} of them idle for more than an hour ({whose})"
        if used > limit * SESSIONS_LIMIT:
            yield Finding(
                "sessions", "warning", told, "Close unused ones, raise max_connections, or use a session pooler."
            )
        else:
            yield Finding("sessions", "ok", told)

    def _old_transactions(self, connection: Connection) -> Iterator[Finding]:
        held = connection.execute(self._queries["oldest_snapshots"], {}, timeout=TIMEOUT)
        is_old = False
        for kind, name, user, state, seconds in held:
            if kind == "session" and (seconds or 0.0) < TRANSACTION_LIMIT:
                continue
            is_old = True
            since = "" if seconds is None else f", open for {seconds:,.0f} s"
            told = f"{kind} {name} (user {user or 'unknown'}, {state or 'state unknown'}){since} holds back vacuum"
            advice = {
                "session": "End its transaction, or the session: SELECT pg_terminate_backend(pid).",
                "prepared transaction": "COMMIT PREPARED or ROLLBACK PREPARED it.",
            }.get(kind, "Drop the slot if nobody reads from it: SELECT pg_drop_replication_slot(name).")
            yield Finding("old transactions", "warning", told, advice)
        if not is_old:
            yield Finding("old transactions", "ok", "nothing holds back vacuum")

    def _schema(self, connection: Connection) -> Iterator[Finding]:
        schema, expected = self._broker.schema, migrations.latest()
        version = migrations.current(connection, schema, timeout=TIMEOUT)
        if version != expected:
            told = f"expected schema {schema} to have version {expected}, got: {version}"
            newer = "Upgrade this release: a newer one has migrated it."
            yield Finding("schema", "failure", told, "Migrate it." if version < expected else newer)
            if version < expected:
                raise errors.SchemaMissing("the schema is older than this code, so nothing more was asked")
            return
        yield Finding("schema", "ok", f"version {version}")
        differences = drift(connection, schema, self._queries)
        for kind, told in differences:
            level: Level = "warning" if kind in ("index", "table settings") else "failure"
            if told.endswith("is not of this release"):
                level = "warning"
            yield Finding(
                "drift", level, f"{kind} {told}", "Make it as the migrations have it (leasequeue/migrations)."
            )
        if not differences:
            yield Finding("drift", "ok", "columns, indexes, constraints, functions and table settings are as expected")

    def _access(self, connection: Connection) -> Iterator[Finding]:
        rows = connection.execute(self._queries["open_rights"], {"schema": self._broker.schema}, timeout=TIMEOUT)
        for outsider in sorted({outsider for outsider, _ in rows}):
            places = [what for each, what in rows if each == outsider]
            told = f"{outsider} has rights on {', '.join(places[:3])}{' and more' if len(places) > 3 else ''}"
            advice = "Close the schema: indexq roles --apply, as its owner."
            yield Finding("access", "warning", told, advice)
        if not rows:
            yield Finding("access", "ok", "closed to PUBLIC, anon and authenticated")

    def _dead_rows(self, connection: Connection) -> Iterator[Finding]:
        rows = connection.execute(self._queries["table_sizes"], {"schema": self._broker.schema}, timeout=TIMEOUT)
        for table, live, dead, size, indexes, vacuumed in rows:
            told = f"{table}: {live:,} rows, {dead:,} dead ones, {_bytes(size)} and {_bytes(indexes)} of indexes"
            if dead > DEAD_ROWS_LIMIT and dead > live:
                last = "never" if vacuumed is None else f"{vacuumed:%Y-%m-%d %H:%M}"
                advice = f"Vacuumed last: {last}. End old transactions; then: VACUUM {self._broker.schema}.{table}."
                yield Finding("dead rows", "warning", told, advice)
            elif indexes > INDEX_LIMIT and indexes > INDEX_SHARE * size:
                advice = f"Rebuild them: REINDEX TABLE CONCURRENTLY {self._broker.schema}.{table}."
                yield Finding("dead rows", "warning", told, advice)
            else:
                yield Finding("dead rows", "ok", told)

    def _workers(self) -> Iterator[Finding]:
        rows = self._broker.ask("workers", {"lease": self._broker.policy.lease}, timeout=TIMEOUT)
        living = [WorkerFacts(*row) for row in rows]
        served = {queue for worker in living for queue in worker.queues}
        is_well = True
        if idle := [worker for worker in living if worker.claiming is False]:
            is_well = False
            told = f"{len(idle)} of {len(living)} processes are switched off: they claim nothing, and jobs are kept"
            yield Finding("workers", "warning", told, "Switch them on again.")
        if deaf := [worker for worker in living if worker.notified is False]:
            is_well = False
            told = f"{len(deaf)} of {len(living)} processes find jobs by polling: no notification reaches them"
            yield Finding("workers", "warning", told, "See notifications; each of them has logged why.")
        for report in Queues(self._broker).report():
            name, ready = report.facts.name, report.facts.ready
            if report.paused_at is not None:
                is_well = False
                told = f"queue {name} is paused since {report.paused_at:%Y-%m-%d %H:%M %Z}; {ready:,} jobs are ready"
                yield Finding("workers", "warning", told, f"Let it go on: indexq resume {name}.")
            elif ready and name not in served:
                is_well = False
                yield Finding(
                    "workers",
                    "failure",
                    f"{ready:,} jobs of queue {name} are ready and no worker takes any",
                    "Start a worker.",
                )
        if is_well:
            yield Finding("workers", "ok", f"{len(living)} processes; no queue waits for one")


def _bytes(count: int) -> str:
    return f"{count / 1024**2:,.0f} MB" if count >= 1024**2 else f"{count / 1024:,.0f} kB"
