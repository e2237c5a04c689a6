"""Puts messages on disk: one, many, or as part of the caller's transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from dramatiq.message import Message

from . import errors
from .connection import Row
from .doorbell import Doorbell
from .grouping import GroupFailed, Grouping, TookTooLong
from .pool import Pool
from .queries import Queries

#: Seconds before the first repetition of a send that met an absent database; each next pause is twice as long.
FIRST_PAUSE = 0.05

#: Messages, and characters, in one statement of a bulk send: far beyond where a longer one would be faster.
BULK_MESSAGES = 5_000
BULK_CHARACTERS = 16_000_000

#: Messages with their texts.
Part = list[tuple[Message[Any], str]]

#: What jobs that are sent together differ in.
GROUPED = ("message_id", "queue_name", "message", "expire_after")


class Placed(NamedTuple):
    """Which job a message became."""

    job_id: str
    #: It was merged into a job with its key that waited already: ``job_id`` is that one's.
    merged: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for the caller's connection: SQL with one place, ``%(jobs)s``, and the text for it.

    Its answer is one text, for :func:`placed_by`.
    """

    sql: str
    jobs: str


class NotSent(errors.DatabaseUnavailable):
    """There was no session to send anything with."""


class Sender:
    """Used by any thread. A send returns when the job is on the server's disk, or raises within ``timeout`` seconds."""

    def __init__(
        self,
        queries: Queries,
        pool: Pool,
        doorbell: Doorbell,
        *,
        timeout: float,
        max_bytes: int,
        make_schema: Callable[[], object] | None,
    ) -> None:
        self._queries = queries
        self._pool = pool
        self._doorbell = doorbell
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._make_schema = make_schema
        self._grouping = Grouping(self._send_group, pool.size)

    def send(self, message: Message[Any], *, delay: float, expire_after: float | None) -> None:
        """Store one message. ``delay`` and ``expire_after`` in seconds."""
        row = self._row(message, delay, expire_after)
        statement = "enqueue_or_replace"
        left = self._timeout
        if not delay and not row["errors"]:
            # The way of nearly every job; whatever goes wrong on it is sorted out for each job by itself.
            started = time.monotonic()
            try:
                self._grouping.bring(row, left)
            except GroupFailed as failure:
                refused = isinstance(failure.__cause__, errors.QueueError | NotSent)
                statement = "enqueue" if refused else "enqueue_again"
                left -= time.monotonic() - started
            except TookTooLong as late:
                raise self._too_late(row["message_id"], "all sessions were in use", maybe_stored=late.begun) from None
            else:
                return
        self._execute(statement, row, message.queue_name, row["message_id"], left)

    def place(self, message: Message[Any], *, delay: float, expire_after: float | None) -> Placed:
        """Store one message that has a key or an owner. It may be merged into one that waits: says which job it is."""
        row = {**self._row(message, delay, expire_after), "may_be_stored": False}
        rows = self._execute("place", row, message.queue_name, row["message_id"], self._timeout)
        return Placed(*rows[0])

    def send_on(self, cursor: Any, message: Message[Any], *, delay: float, expire_after: float | None) -> Placed:
        """Store one message with a DB-API cursor of the caller's, in the caller's transaction. Rings nobody."""
        row = self._row(message, delay, expire_after)
        if not has_shares(message):
            cursor.execute(self._queries["enqueue_or_replace"], row)
            return Placed(message.message_id, False)
        cursor.execute(self._queries["place"], {**row, "may_be_stored": False})
        return Placed(*cursor.fetchone())

    def place_many(
        self, messages: Sequence[Message[Any]], *, delay: float, expire_after: float | None
    ) -> dict[str, Placed]:
        """Store many messages that have keys or owners. Says which job each message's id leads to."""
        placed: dict[str, Placed] = {}
        for part in self._parts(messages):
            for message_id, job_id, merged in self._send_part("place_many", part, delay, expire_after):
                placed[message_id] = Placed(job_id, merged)
        self._ring_all(messages, delay)
        return placed

    def send_many(self, messages: Sequence[Message[Any]], *, delay: float, expire_after: float | None) -> None:
        """Store many messages in few statements; each statement stores all of its messages or none."""
        parts = self._parts(messages)
        for part in _ahead(parts) if len(messages) > BULK_MESSAGES else parts:
            self._send_part("enqueue_many", part, delay, expire_after)
        self._ring_all(messages, delay)

    def _send_part(self, statement: str, part: Part, delay: float, expire_after: float | None) -> list[Row]:
        row = {
            "messages": "[" + ",".join(text for _, text in part) + "]",
            "count": len(part),
            "delay": _interval(delay),
            "expire_after": _interval(expire_after),
        }
        first = part[0][0]
        what = f"{first.message_id} and {len(part) - 1} more"
        return self._execute(statement, row, first.queue_name, what, self._timeout)

    def _ring_all(self, messages: Sequence[Message[Any]], delay: float) -> None:
        if not delay:
            for queue_name in {message.queue_name for message in messages}:
                with self._pool.connection(self._timeout) as connection:
                    self._doorbell.ring(connection, queue_name)

    def _text(self, message: Message[Any]) -> str:
        encoded = message.encode()
        if len(encoded) > self._max_bytes:
            raise errors.MessageTooLarge(
                f"expected a message of at most {self._max_bytes} bytes, got: {len(encoded)} for actor "
                f"{message.actor_name}. Send where the data is, not the data"
            )
        return encoded.decode()

    def _parts(self, messages: Iterable[Message[Any]]) -> Iterator[Part]:
        """Messages with their texts, in lists that fit into a statement each."""
        part: Part = []
        characters = 0
        for message in messages:
            text = self._text(message)
            if part and (len(part) >= BULK_MESSAGES or characters + len(text) > BULK_CHARACTERS):
                yield part
                part, characters = [], 0
            part.append((message, text))
            characters += len(text)
        if part:
            yield part

    def statements(
        self, messages: Sequence[Message[Any]], *, name: str, delay: float, expire_after: float | None
    ) -> Iterator[Statement]:
        """What the caller has to run in a transaction of its own to store these messages, in few statements.

        Parameters:
          name: ``enqueue_inside``, ``enqueue_many_inside``, or ``place_inside`` for those that have a key or an owner.
        """
        for part in self._parts(messages):
            head = json.dumps({"delay": delay, "expire_after": expire_after})
            texts = ",".join(text for _, text in part)
            yield Statement(self._queries[name], f'{head[:-1]}, "messages": [{texts}]}}')

    def _row(self, message: Message[Any], delay: float, expire_after: float | None) -> dict[str, Any]:
        return {
            "message_id": message.message_id,
            "queue_name": message.queue_name,
            "message": self._text(message),
            "delay": _interval(delay),
            "expire_after": _interval(expire_after),
            "errors": message.options.get("retries", 0),
        }

    def _send_group(self, rows: list[dict[str, Any]]) -> None:
        try:
            connection = self._pool.take(self._timeout)
        except errors.DatabaseUnavailable as error:
            raise NotSent(str(error)) from None
        try:
            if len(rows) == 1:
                connection.execute(self._queries["enqueue"], rows[0], timeout=self._timeout)
                self._doorbell.ring(connection, rows[0]["queue_name"])
                return
            together = {name + "s": [row[name] for row in rows] for name in GROUPED}
            connection.execute(self._queries["enqueue_group"], together, timeout=self._timeout)
            for queue_name in set(together["queue_names"]):
                self._doorbell.ring(connection, queue_name)
        finally:
            self._pool.give(connection)

    def _execute(self, statement: str, row: dict[str, Any], queue_name: str, what: str, left: float) -> list[Row]:
        """Send one statement until it is answered, for as long as there is time: ``left`` seconds. Its answer."""
        deadline = time.monotonic() + left
        pause = FIRST_PAUSE
        make_schema = self._make_schema
        maybe_stored = statement == "enqueue_again"
        while True:
            sent = False
            try:
                connection = self._pool.take(max(0.01, left))
                try:
                    sent = True
                    rows = connection.execute(self._queries[statement], row, timeout=max(0.01, left))
                    self._doorbell.ring(connection, queue_name)
                finally:
                    self._pool.give(connection)
                return rows
            except errors.AlreadyQueued:
                if statement != "enqueue":
                    raise
                statement = "enqueue_or_replace"
            except errors.SchemaMissing:
                if make_schema is None:
                    raise
                make_schema()
                make_schema = None
            except errors.DatabaseUnavailable as error:
                maybe_stored |= sent
                if statement == "place":
                    row["may_be_stored"] = maybe_stored
                if maybe_stored and statement == "enqueue":
                    statement = "enqueue_again"
                if time.monotonic() + pause >= deadline:
                    raise self._too_late(what, str(error), maybe_stored=maybe_stored) from None
                time.sleep(pause)
                pause *= 2
            left = deadline - time.monotonic()

    def _too_late(self, what: str, why: str, *, maybe_stored: bool) -> errors.DatabaseUnavailable:
        stored = "It may or may not be stored." if maybe_stored else "It is not stored."
        return errors.DatabaseUnavailable(f"Job {what} could not be sent within {self._timeout:g} s: {why}. {stored}")


def _interval(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds} s"


def _ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """The same parts, each made while the server stores the one before it: a third of a bulk send is making JSON."""
    with ThreadPoolExecutor(1, "leasequeue encode") as other:
        part = next(parts, None)
        while part is not None:
            coming = other.submit(next, parts, None)
            yield part
            part = coming.result()


def as_placed(message: Message[Any], placed: Placed | None) -> Message[Any]:
    """The message as its caller needs it: with the id to ask about."""
    if placed is None or not placed.merged:
        return message
    return message.copy(message_id=placed.job_id, options={"merged": True})


def placed_by(answer: str) -> dict[str, Placed]:
    """The jobs that messages became, by the ids of the messages, as a :class:`Statement` answers."""
    return {message_id: Placed(job_id, merged) for message_id, job_id, merged in json.loads(answer)}


def has_shares(message: Message[Any]) -> bool:
    """Whether a message has a key or an owner, which takes the longer way into the queue."""
    return message.options.get("key") is not None or message.options.get("fairness_key") is not None
