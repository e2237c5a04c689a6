"""A dramatiq broker on one Postgres schema. Each running job is held by a lease; each end of a run is one statement."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dramatiq_pg
from dramatiq.actor import Actor
from dramatiq.broker import Broker
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.message import Message
from dramatiq.middleware import Callbacks, Middleware, Pipelines, ShutdownNotifications, TimeLimit
from dramatiq.results import Results
from dramatiq.worker import Worker

from . import errors, lease, migrations, pooling
from . import transaction as transactions
from .connection import Connection, Row
from .consumer import LeaseConsumer
from .doorbell import Doorbell
from .hooks import ListenedSignals
from .late_bell import LateBell
from .lease import Death, Lease, LeasedMessage, Retry, describe
from .messages import completed
from .meter import Meter
from .middleware import LeaseTracking, Retries
from .policy import Policy
from .pool import Pool
from .queries import Queries
from .results import LeaseBackend
from .sender import Placed, Sender, as_placed, has_shares
from .session import WorkerSession
from .slots import Slots
from .transaction import Transaction
from .vitals import PulseFile
from .watchdog import Watchdog

#: Sessions with the database for threads that send, beyond the three of a worker.
SENDER_SESSIONS = 2

#: Seconds between two looks of ``join()`` at the queue.
JOIN_INTERVAL = 0.05

#: Seconds that a question to the database may take when the caller does not say.
ASK_TIMEOUT = 10.0


class LeaseBroker(ListenedSignals, dramatiq_pg.PostgresBroker):  # type: ignore[misc]  # untyped base
    """A dramatiq broker on Postgres: durable, fenced, and as cheap with a million waiting jobs as with ten.

    It is a ``PostgresBroker`` by class and by table, and shares no code path with it.

    Parameters:
      url: libpq connection string or URI.
      schema: where the queue lives; created by :meth:`migrate`.
      policy: retries, leases and times.
      middleware: a complete list instead of :meth:`default_middleware`. :class:`.LeaseTracking` is put in front of it.
      results: whether to store results of actors declared with ``store_results=True``.
      slots: limits how many jobs run at once beyond the threads that there are.
      auto_migrate: whether a worker that boots, or a ``send()`` that finds no schema, may create or upgrade it.
      sender_sessions: database sessions that sending threads share.
      direct_url: another way to the same database, round the pooler that ``url`` leads to: for notifications, on one
        session more, and for migrations.
      is_claiming: whether workers of this broker claim jobs. When not, they keep their heartbeat and stay idle; jobs
        are accepted all the same.
      facts_directory: where the processes of this machine tell how they are and what they have done; see :mod:`.vitals`
        and :mod:`.meter`. None: they do not.

    Making one does no work: the first session is opened when it is needed.
    """

    def __init__(
        self,
        *,
        url: str,
        schema: str = "dramatiq",
        policy: Policy | None = None,
        middleware: list[Middleware] | None = None,
        results: bool = True,
        slots: Slots | None = None,
        auto_migrate: bool = True,
        sender_sessions: int = SENDER_SESSIONS,
        facts_directory: Path | None = None,
        direct_url: str | None = None,
        is_claiming: bool = True,
    ) -> None:
        self.url = url
        self.direct_url = direct_url
        self.is_claiming = is_claiming
        self.schema = schema
        self.policy = policy or Policy()
        self.queries = Queries(schema)
        self._doorbell = Doorbell(self.queries, schema)
        self._slots = slots or Slots()
        self.facts_directory = facts_directory
        self._auto_migrate = auto_migrate
        #: Told of each job that this process dead-lettered, also of those that never ran here: expired, or given up
        #: because their workers died. Called at most once a death, by a thread of its own that nothing waits for but
        #: the end of the process, and that for a few seconds only; an error in it is logged.
        self.on_death: Callable[[Death], None] | None = None
        self._senders = Pool(url, "leasequeue send", sender_sessions)
        self._sender = Sender(
            self.queries,
            self._senders,
            self._doorbell,
            timeout=self.policy.enqueue_timeout,
            max_bytes=self.policy.max_message_bytes,
            make_schema=self.migrate if auto_migrate else None,
        )
        self._late_bell = LateBell(self.ring)
        self._session: WorkerSession | None = None
        self._watchdog: Watchdog | None = None
        self._session_lock = threading.Lock()
        # dramatiq_pg's own constructor is left out on purpose: it opens a pool and rewrites module-global SQL.
        Broker.__init__(
            self,
            middleware=[LeaseTracking(), *(self.default_middleware() if middleware is None else middleware)],
        )
        self.backend = LeaseBackend(self) if results else None
        if self.backend is not None:
            self.add_middleware(Results(backend=self.backend))  # type: ignore[no-untyped-call]
        if facts_directory is not None:
            self.add_middleware(Meter(facts_directory))  # type: ignore[no-untyped-call]

    def default_middleware(self) -> list[Middleware]:
        """What a broker without a list of its own uses; each follows the policy."""
        policy = self.policy
        return [
            TimeLimit(time_limit=int(policy.time_limit * 1000)),
            ShutdownNotifications(),
            Callbacks(),
            Pipelines(),
            Retries(
                max_retries=policy.max_retries,
                min_backoff=int(policy.min_backoff * 1000),
                max_backoff=int(policy.max_backoff * 1000),
            ),
        ]

    @property
    def worker_session(self) -> WorkerSession | None:
        """What this process is to the queue while it works for it."""
        return self._session

    @property
    def sender_sessions(self) -> tuple[int, int]:
        """How many sessions with the database are lent to threads that send or ask, and how many there may be."""
        return self._senders.used, self._senders.size

    def migrate(self) -> list[migrations.Migration]:
        """Create or upgrade the schema. Returns what was run: nothing when it is as new as this code.

        Raises what :func:`migrations.migrate` raises, and ``WrongDatabase`` when ``direct_url`` leads elsewhere.
        """
        url = pooling.url_for_migrations(self.url, self.direct_url, self.queries, self.logger)
        return migrations.migrate(url, schema=self.schema)

    # Sending.

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known. Nothing happens in the database: a queue is a name on rows."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = True
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any] | LeasedMessage, *, delay: int | None = None) -> Message[Any]:
        """Store a message; when this returns, it is on disk and will be run. ``delay`` in milliseconds.

        A message that is being run by the calling thread is not stored but run again when this run is over: one write,
        so there is no moment at which it was finished and its next run was not yet stored.

        With the option ``key`` (of the message, or of its actor: a callable that gets the job's arguments) at most one
        job of that actor and key waits and one runs. Sent while one waits, it takes that one's place: the message that
        is returned then has the id of that job, and ``options["merged"]``. With ``fairness_key`` owners take turns.

        Raises:
          DatabaseUnavailable: the database was away, or did not answer, for ``policy.enqueue_timeout`` seconds.
          MessageRefused: Postgres cannot store it: NUL characters, lone surrogates, NaN; a key that is not a text.
          MessageTooLarge: it has more than ``policy.max_message_bytes``.
          NoTransaction: in a block of :meth:`transaction`, and its connection has none.
          SchemaMissing: there is no queue in this database and ``auto_migrate`` is off.
        """
        running = lease.current_lease()
        if isinstance(message, LeasedMessage):
            running = message.lease
        if running is not None and running.message_id == message.message_id and running.outcome is None:
            return self._run_again(running, message, delay)
        message = self.complete(message._message if isinstance(message, LeasedMessage) else message)
        transaction = transactions.current(self)
        self.emit_before("enqueue", message, delay)
        seconds, expire_after = (delay or 0) / 1000, self._expire_after(message)
        if transaction is not None:
            name = "place_inside" if has_shares(message) else "enqueue_inside"
            placed = transaction.store([message], name=name, delay=seconds, expire_after=expire_after)
            message = as_placed(message, placed.get(message.message_id))
        elif has_shares(message):
            message = as_placed(message, self._sender.place(message, delay=seconds, expire_after=expire_after))
        else:
            self._sender.send(message, delay=seconds, expire_after=expire_after)
        self._look_here()
        self.emit_after("enqueue", message, delay)
        return message

    def enqueue_many(self, messages: Iterable[Message[Any]], *, delay: int | None = None) -> list[Message[Any]]:
        """Store many messages in few round trips. ``delay`` in milliseconds, for all of them.

        Thousands of messages are one statement: all of them are stored or none. A message whose id is in the queue
        already is left as it is. Of messages with the same key the last one stays. Raises what :meth:`enqueue` raises.
        """
        stored = [self.complete(message) for message in messages]
        transaction = transactions.current(self)
        for message in stored:
            self.emit_before("enqueue", message, delay)
        alike: dict[tuple[float | None, bool], list[Message[Any]]] = {}
        for message in stored:
            alike.setdefault((self._expire_after(message), has_shares(message)), []).append(message)
        placed: dict[str, Placed] = {}
        seconds = (delay or 0) / 1000
        for (expire_after, with_shares), some in alike.items():
            if transaction is not None:
                name = "place_inside" if with_shares else "enqueue_many_inside"
                placed |= transaction.store(some, name=name, delay=seconds, expire_after=expire_after)
            elif with_shares:
                placed |= self._sender.place_many(some, delay=seconds, expire_after=expire_after)
            else:
                self._sender.send_many(some, delay=seconds, expire_after=expire_after)
        if placed:
            stored = [as_placed(message, placed.get(message.message_id)) for message in stored]
        self._look_here()
        for message in stored:
            self.emit_after("enqueue", message, delay)
        return stored

    def _look_here(self) -> None:
        """What this process has sent it need not wait for, also where no notification reaches it."""
        session = self._session
        if session is not None and (session.way is None or not session.way.notified):
            session.look_again()

    def _run_again(self, running: Lease, message: Any, delay: int | None) -> Message[Any]:
        exception = message._exception if isinstance(message, LeasedMessage) else None
        plain: Message[Any] = message._message if isinstance(message, LeasedMessage) else message
        self.emit_before("enqueue", message, delay)
        running.message = plain
        error = None if exception is None else describe(exception, plain.options.get("traceback"))
        running.outcome = Retry((delay or 0) / 1000, error)
        self.emit_after("enqueue", message, delay)
        return plain

    def transaction(self, connection: Any) -> Transaction:
        """Send in the caller's transaction: what is sent in the block exists when that commits, or never.

        Parameters:
          connection: of psycopg2 or psycopg, or a session or connection of SQLAlchemy, on the queue's database. It is
            used at each send and otherwise left to its owner: nothing here commits it, rolls it back or closes it. For
            an asynchronous one (psycopg, SQLAlchemy, asyncpg) write ``async with``; see :meth:`.Transaction.run`.

        Raises:
          TypeError: it is none of these.
        """
        return Transaction(self, self._sender, connection)

    def enqueue_on(self, cursor: Any, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Store a message in the caller's transaction: it exists when that commits, and never when it rolls back.

        Parameters:
          cursor: an open DB-API cursor of psycopg2 or psycopg.
          delay: milliseconds.

        Nobody is woken, since a notification in a transaction would make every commit of the database wait for it: call
        :meth:`ring` behind the commit, or let a worker find the job with its next poll.
        """
        message = self.complete(message)
        self.emit_before("enqueue", message, delay)
        placed = self._sender.send_on(
            cursor, message, delay=(delay or 0) / 1000, expire_after=self._expire_after(message)
        )
        message = as_placed(message, placed)
        self.emit_after("enqueue", message, delay)
        return message

    def ring(self, queue_name: str) -> None:
        """Wake an idle worker of a queue. Not needed behind :meth:`enqueue`; never needed for a job to be run."""
        with self.session(ASK_TIMEOUT) as connection:
            self._doorbell.ring(connection, queue_name)

    def complete(self, message: Message[Any]) -> Message[Any]:
        """The message as it is stored: without dramatiq's traces of a delay, with the key and owner of its actor."""
        return completed(message, self.actors.get(message.actor_name))

    def ring_soon(self, queue_names: Iterable[str]) -> None:
        """Wake idle workers of these queues now and again within the next half second, without waiting for it."""
        self._late_bell.ring_soon(queue_names)

    def _expire_after(self, message: Message[Any]) -> float | None:
        actor = self.actors.get(message.actor_name)
        max_age = message.options.get("max_age") or (actor.options.get("max_age") if actor else None)
        return max_age / 1000 if max_age else self.policy.expire_after

    # Consuming.

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> LeaseConsumer:
        """Iterate over the jobs of a queue. Without a worker, a session for ``prefetch`` jobs at once is opened.

        Parameters:
          timeout: milliseconds after which the iterator yields None.

        Raises:
          QueueNotFound: nobody declared it.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        return LeaseConsumer(self._open(threads=prefetch), queue_name, timeout / 1000, self.actors)

    def open_session(self, worker: Worker) -> None:
        """Begin to work for a booting worker. Raises when the database is away or the schema is not of this release."""
        if self._auto_migrate:
            self.migrate()
        else:
            migrations.expect(self.url, schema=self.schema)
        self._open(threads=worker.worker_threads).attach(worker)

    def _open(self, threads: int) -> WorkerSession:
        with self._session_lock:
            if self._session is None or self._session.pid != os.getpid():
                session = WorkerSession(
                    url=self.url,
                    queries=self.queries,
                    policy=self.policy,
                    threads=threads,
                    slots=self._slots,
                    channel_of=self._doorbell.channel,
                    ring=self._doorbell.ring,
                    on_death=self._tell_death,
                    direct_url=self.direct_url,
                    is_claiming=self.is_claiming,
                )
                session.open()
                self._session = session
                self._watchdog = self._watch(session)
            return self._session

    def _watch(self, session: WorkerSession) -> Watchdog:
        pulse = PulseFile(self.facts_directory) if self.facts_directory is not None else None
        watchdog = Watchdog(session, stuck_after=self.policy.stuck_after, drain=self.policy.drain, pulse=pulse)
        watchdog.start()
        return watchdog

    def _tell_death(self, death: Death) -> None:
        if self.on_death is not None:
            self.on_death(death)

    def session_started(self, running: Lease) -> bool:
        """The calling thread is about to run a job. Returns whether it may.

        A job that was there when a worker died is marked as begun first, so that it is charged if this worker dies too:
        without the mark it does not start.
        """
        if running.is_suspect and not self._begin_suspect(running):
            return False
        if self._session is not None:
            self._session.start(running)
        return True

    def _begin_suspect(self, running: Lease) -> bool:
        try:
            is_ours = bool(self.ask("begin_suspect", running.fence))
        except (errors.DatabaseUnavailable, errors.QueueError) as error:
            self.logger.warning("job_not_begun job_id=%s queue=%s: %s", running.message_id, running.queue_name, error)
            return False
        if not is_ours and self._session is not None:
            self._session.lose(running)
        return is_ours

    def stop_claiming(self) -> None:
        """Claim nothing more from now on; the drain begins soon. For signal handlers: takes no lock, does no work."""
        if self._session is not None:
            self._session.stop_claiming()

    def begin_drain(self) -> None:
        """Claim nothing more and hand back what was not started. Idempotent."""
        if self._session is not None:
            self._session.begin_drain()

    def close_session(self) -> None:
        """Write what is left to write and end the worker's sessions with the database."""
        with self._session_lock:
            session, self._session = self._session, None
            watchdog, self._watchdog = self._watchdog, None
        if session is not None and session.pid == os.getpid():
            session.close()
            if watchdog is not None:
                watchdog.stop()

    def close(self) -> None:
        """End every session with the database. The broker can be used again."""
        self._late_bell.close()
        self.close_session()
        self._senders.close()

    def hold_lease(self, cursor: Any) -> None:
        """Make sure that the calling actor still owns its job until the caller's transaction ends.

        Parameters:
          cursor: an open DB-API cursor on the queue's database; the row of the job is locked with it. Take this lock
            last: no transaction of the queue waits for anything while it holds one.

        Raises:
          LeaseLost: another worker may have the job. Roll back, write nothing.
          RuntimeError: the caller is not an actor that runs under a lease.
        """
        running = lease.current_lease()
        if running is None:
            raise RuntimeError("expected to be called by a running actor, got no lease: nothing to hold")
        cursor.execute(self.queries["hold"], running.fence)
        if cursor.fetchone() is None:
            running.lost = True
            raise errors.LeaseLost(f"job {running.message_id} belongs to another run by now")

    # Asking.

    @contextmanager
    def session(self, timeout: float) -> Iterator[Connection]:
        """Lend a session with the database for the length of a block; ``timeout`` seconds to get one."""
        with self._senders.connection(timeout) as connection:
            yield connection

    def ask(self, name: str, parameters: dict[str, Any], *, timeout: float = ASK_TIMEOUT) -> list[Row]:
        """Run one named statement of the queue on a session of the senders."""
        with self.session(timeout) as connection:
            return connection.execute(self.queries[name], parameters, timeout=timeout)

    def flush(self, queue_name: str) -> None:
        """Drop all waiting and running messages of a queue. Dead letters stay."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        self.ask("flush", {"queues": [queue_name]})

    def flush_all(self) -> None:
        """Drop all waiting and running messages of all declared queues."""
        self.ask("flush", {"queues": list(self.queues)})

    def join(self, queue_name: str, *, fail_fast: bool = False, timeout: int | None = None) -> None:
        """Wait until no message of a queue waits, is delayed, or runs, in any process. Meant for tests.

        Parameters:
          fail_fast: raise :class:`JobDied` when a job of the queue is dead-lettered meanwhile.
          timeout: milliseconds; None: as long as it takes.

        Raises:
          QueueJoinTimeout: the time is over.
          QueueNotFound: nobody declared it.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        ((since,),) = self.ask("now", {})
        pause = threading.Event()
        while self.ask("unfinished", {"queue_name": queue_name})[0][0]:
            if fail_fast:
                self._raise_death(queue_name, since)
            if deadline is not None and time.monotonic() >= deadline:
                raise QueueJoinTimeout(f"timed out after {(timeout or 0) / 1000:.2f} seconds")
            pause.wait(JOIN_INTERVAL)
        if fail_fast:
            self._raise_death(queue_name, since)

    def _raise_death(self, queue_name: str, since: object) -> None:
        for message_id, reason, error in self.ask("first_death", {"queue_name": queue_name, "since": since}):
            raise errors.JobDied(f"job {message_id} is dead ({reason}): {error}")


def send_many(
    actor: Actor[..., Any], calls: Iterable[Sequence[Any]], *, delay: int | None = None
) -> list[Message[Any]]:
    """Send an actor many times in few round trips: ``send_many(add, [(1, 2), (3, 4)])``. Returns the messages.

    Parameters:
      calls: the positional arguments of each job.
      delay: milliseconds, for all of them.

    Raises:
      TypeError: the actor's broker is not a :class:`LeaseBroker`.
    """
    if not isinstance(actor.broker, LeaseBroker):
        raise TypeError(f"expected an actor of a LeaseBroker, got one of a {type(actor.broker).__name__}")
    return actor.broker.enqueue_many((actor.message(*arguments) for arguments in calls), delay=delay)
