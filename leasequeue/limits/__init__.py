"""Rate limits on Postgres: what dramatiq's limiters, barriers and completion callbacks of groups need, without Redis.

::

    limits = PostgresLimits(broker)
    broker.add_middleware(GroupCallbacks(limits))
    with ConcurrentRateLimiter(limits, "payments", limit=2).acquire():
        ...

Counters live in a schema of their own, ``<queue's schema>_limits``, which is made with the first use. A call is one
transaction that waits for the disk, since a group whose count was lost would never call back: meant for jobs that take
a while, not for every request of an API.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dramatiq.rate_limits import RateLimiterBackend

from .. import errors, migrations
from ..connection import Connection
from ..queries import Queries

if TYPE_CHECKING:
    from ..broker import LeaseBroker

#: The migrations of the counters' schema.
DIRECTORY = Path(__file__).parent / "migrations"

#: Seconds that one call may take.
CALL_TIMEOUT = 5.0

#: Seconds between two looks of ``wait()``. Nobody is notified: it would make every commit of the database wait.
LOOK_INTERVAL = 0.1

#: Seconds between two removals of expired counters by one process, and how many go at once.
PURGE_INTERVAL = 30.0
PURGE_COUNT = 1000

#: Bytes of a name that Postgres does not cut off.
LONGEST_NAME = 63

#: What a counter can be at most, and at least, where the caller sets no bound.
LEAST, MOST = -(2**63), 2**63 - 1


def schema_of(queue: str) -> str:
    """Where the counters live when nothing else is said, by the queue's schema."""
    return f"{queue}_limits"


class PostgresLimits(RateLimiterBackend):
    """A dramatiq rate limiter backend on the database of a broker, with its sessions. Times to live are milliseconds.

    Parameters:
      broker: whose database and sessions are used.
      schema: where the counters live; None: the broker's schema with ``_limits`` behind it.
      auto_migrate: whether the schema is made when it is missing.

    Every call may raise ``DatabaseUnavailable``: a limiter that cannot be asked lets nobody through.
    """

    def __init__(self, broker: LeaseBroker, *, schema: str | None = None, auto_migrate: bool = True) -> None:
        self._broker = broker
        self.schema = schema or schema_of(broker.schema)
        if len(self.schema.encode()) > LONGEST_NAME:
            raise ValueError(
                f"expected the schema of the limits to have a name of at most {LONGEST_NAME} bytes, "
                f"got: {self.schema!r}; name a shorter one: schema=..."
            )
        self._queries = Queries(self.schema)
        self._auto_migrate = auto_migrate
        self._purged_at = time.monotonic()

    def migrate(self) -> list[migrations.Migration]:
        """Create or upgrade the schema of the counters. Returns what was run."""
        return migrations.migrate(self._broker.url, schema=self.schema, directory=DIRECTORY)

    def add(self, key: str, value: int, ttl: int) -> bool:
        """Set a counter that is not there. Returns whether it was set."""
        self._purge_now_and_then()
        return self._change("limit_add", key=key, amount=value, ttl=_interval(ttl))

    def incr(self, key: str, amount: int, maximum: int, ttl: int) -> bool:
        """Count up, unless that would lead above ``maximum``. Returns whether it was counted."""
        return self._change("limit_change", key=key, amount=amount, least=LEAST, most=maximum, ttl=_interval(ttl))

    def decr(self, key: str, amount: int, minimum: int, ttl: int) -> bool:
        """Count down, unless that would lead below ``minimum``. Returns whether it was counted."""
        return self._change("limit_change", key=key, amount=-amount, least=minimum, most=MOST, ttl=_interval(ttl))

    def incr_and_sum(
        self, key: str, keys: Callable[[], Iterable[str]] | Iterable[str], amount: int, maximum: int, ttl: int
    ) -> bool:
        """Count up, unless the sum of ``keys`` would then be above ``maximum``. Returns whether it was counted."""
        self._purge_now_and_then()
        # A window names its counters NAME@SECOND: all of them are one window, whichever second it is.
        window = f"{self.schema} {key.rpartition('@')[0] or key}"

        def count(connection: Connection) -> bool:
            try:
                connection.execute(self._queries["limit_lock_window"], {"window": window}, timeout=CALL_TIMEOUT)
                # Asked for behind the lock: whoever had it before may have counted in a later second.
                summed = list(keys() if callable(keys) else keys)
                parameters = {"key": key, "keys": summed, "amount": amount, "most": maximum, "ttl": _interval(ttl)}
                counted = connection.execute(self._queries["limit_change_in_sum"], parameters, timeout=CALL_TIMEOUT)
                connection.execute("COMMIT", timeout=CALL_TIMEOUT)
            except BaseException:
                connection.close()  # its transaction is not for whoever gets this session next
                raise
            return bool(counted)

        return self._call(count)

    def wait(self, key: str, timeout: int | None) -> bool:
        """Wait for :meth:`wait_notify`. Returns whether it came. No session is held meanwhile.

        Parameters:
          timeout: milliseconds; None: as long as it takes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        pause = threading.Event()
        while not self._change("limit_seen", key=key):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            pause.wait(LOOK_INTERVAL)
        return True

    def wait_notify(self, key: str, ttl: int) -> None:
        """Let everybody go who waits for ``key``, and who does so within ``ttl`` milliseconds."""
        self._change("limit_add", key=key, amount=1, ttl=_interval(ttl))

    def _change(self, name: str, **parameters: Any) -> bool:
        return self._call(lambda session: bool(session.execute(self._queries[name], parameters, timeout=CALL_TIMEOUT)))

    def _call(self, call: Callable[[Connection], bool]) -> bool:
        try:
            with self._broker.session(CALL_TIMEOUT) as connection:
                return call(connection)
        except errors.SchemaMissing:
            if not self._auto_migrate:
                raise
        self.migrate()
        with self._broker.session(CALL_TIMEOUT) as connection:
            return call(connection)

    def _purge_now_and_then(self) -> None:
        if time.monotonic() - self._purged_at >= PURGE_INTERVAL:
            self._purged_at = time.monotonic()
            self._change("limit_purge", count=PURGE_COUNT)


def _interval(milliseconds: int) -> str:
    return f"{milliseconds} milliseconds"
