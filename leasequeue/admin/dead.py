"""Dead letters: what died and of what, and what an operator does about it.

Whatever touches many jobs goes through them in short statements, oldest death first, and can be stopped between any
two: what is done is done, and doing it again goes on with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .. import errors
from .facts import COUNT_LIMIT, CauseFacts, DeadFacts, DeadLetter

if TYPE_CHECKING:
    from ..broker import LeaseBroker
    from ..connection import Row

#: Dead jobs looked at by one statement of a walk, and changed by one statement: a few hundredths of a second each.
PAGE = 1_000

#: Letters with all they hold (up to some 40 kB each) that are in memory at once.
LETTERS = 100

#: Causes in one answer. Who has more needs another text in the errors, or a filter.
CAUSES = 1_000

#: Seconds that one statement may take.
TIMEOUT = 10.0

#: Reasons of jobs that an operator has put aside. They are counted and listed only when asked for by name.
SET_ASIDE = ("discarded", "cancelled")


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead jobs. What is None asks for nothing."""

    queue: str | None = None
    actor: str | None = None
    #: Any of these; None: all but :data:`SET_ASIDE`.
    reasons: tuple[str, ...] | None = None
    #: Died at this moment or later, or earlier.
    since: datetime | None = None
    until: datetime | None = None
    #: Somewhere in the error, its traceback included; capitals do not count.
    text: str | None = None
    #: :attr:`.CauseFacts.cause`.
    cause: str | None = None

    def parameters(self) -> dict[str, Any]:
        """As the statements want it."""
        return {
            "queue_name": self.queue,
            "actor": self.actor,
            "reasons": None if self.reasons is None else list(self.reasons),
            "since": self.since,
            "until": self.until,
            "text": self.text,
            "cause": self.cause,
        }


#: How often a redrive is tried when jobs with the same keys are sent at the same moment.
RACES = 5


class DeadLetters:
    """Asks about, and changes, the dead jobs of one broker, on the sessions of its senders.

    Every method raises ``DatabaseUnavailable`` when the database is away or one statement takes longer than
    :data:`TIMEOUT`, and ``SchemaMissing`` when there is no queue in it.
    """

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker

    # Asking.

    def causes(self, wanted: DeadFilter, *, limit: int = CAUSES) -> list[CauseFacts]:
        """What jobs died of, the most frequent first. The first ``limit`` causes are looked at."""
        return [
            CauseFacts(*row)
            for row in self._ask("dead_causes", {**wanted.parameters(), "limit": limit, "cap": COUNT_LIMIT})
        ]

    def newest(self, wanted: DeadFilter, *, limit: int) -> list[DeadFacts]:
        """The jobs that died last, the newest first."""
        found = [
            DeadFacts(*row)
            for queue in self._queues(wanted)
            for row in self._ask("dead_newest", {**wanted.parameters(), "queue_name": queue, "limit": limit})
        ]
        return sorted(found, key=lambda facts: facts.died_at, reverse=True)[:limit]

    def get(self, message_id: str) -> DeadLetter | None:
        """Everything about one dead job; None when it is not dead, or not there."""
        return next(iter(self.letters([message_id])), None)

    def letters(self, message_ids: list[str]) -> list[DeadLetter]:
        """Everything about some dead jobs. Those that are not dead are left out."""
        return [DeadLetter(*row) for row in self._ask("dead_letters", {"message_ids": message_ids})]

    def walk(self, wanted: DeadFilter, *, page: int = PAGE) -> Iterator[list[str]]:
        """The ids of all that died until now, queue by queue, oldest death first; lists of up to ``page``, never empty.

        The caller may change or remove what it is given before it asks for more. What dies meanwhile is left out, so a
        walk ends.
        """
        wanted = self.until_now(wanted)
        for queue in self._queues(wanted):
            parameters = {**wanted.parameters(), "queue_name": queue, "limit": page}
            rows: list[Row] | None = None
            while rows is None or len(rows) == page:
                after_id, after_time = (None, None) if not rows else rows[-1][:2]
                rows = self._ask("dead_page", {**parameters, "after_id": after_id, "after_time": after_time})
                if found := [message_id for message_id, _, is_wanted in rows if is_wanted]:
                    yield found

    def count(self, wanted: DeadFilter) -> int:
        """How many. Takes a second for each hundred thousand that are looked at, in short statements."""
        return sum(len(ids) for ids in self.walk(wanted, page=10 * PAGE))

    def until_now(self, wanted: DeadFilter) -> DeadFilter:
        """The same, without those that die from now on."""
        if wanted.until is not None:
            return wanted
        ((now,),) = self._ask("now", {})
        return replace(wanted, until=now)

    # Changing.

    def redrive(self, message_ids: list[str]) -> list[str]:
        """Send dead jobs again, due at once, with fresh budgets and their history. Returns the ids that were dead.

        Of several with the same key the one that was sent last is run, or a newer one that waits already; the others
        are done, merged into it.
        """
        parameters = {
            "message_ids": message_ids,
            "expire_after": self._broker.policy.expire_after,
            "max_ages": json.dumps(
                {
                    name: actor.options["max_age"] / 1000
                    for name, actor in self._broker.actors.items()
                    if actor.options.get("max_age")
                }
            ),
        }
        for attempt in range(1, RACES + 1):
            try:
                rows = self._ask("redrive", parameters)
                break
            except errors.AlreadyQueued:  # a job with the key of one of them was sent at this moment
                if attempt == RACES:
                    raise
        for queue_name in {row[1] for row in rows}:
            self._broker.ring(queue_name)
        nobody = [None] * len(message_ids)
        merged = self._ask(
            "give_way",
            {
                "message_ids": message_ids,
                "worker_ids": nobody,
                "claim_nos": nobody,
                "crashed": False,
                "keep": self._broker.policy.keep_done,
            },
        )
        return [row[0] for row in (*rows, *merged)]

    def discard(self, message_ids: list[str]) -> list[str]:
        """Put dead jobs aside, with reason ``discarded``. Returns the ids that were dead and not yet put aside."""
        return [row[0] for row in self._ask("discard", {"message_ids": message_ids})]

    # Into files and back.

    def export(self, wanted: DeadFilter) -> Iterator[dict[str, Any]]:
        """Each dead job as a document of JSON's types. Nothing is changed."""
        for ids in self.walk(wanted, page=LETTERS):
            for letter in self.letters(ids):
                yield {
                    name: value.isoformat() if isinstance(value, datetime) else value
                    for name, value in asdict(letter).items()
                }

    def restore(self, documents: Iterable[dict[str, Any]]) -> list[str]:
        """Store documents of :meth:`export` as dead jobs again, in one statement. Returns the ids that were stored.

        A job that is in the queue, or was done a moment ago, is left as it is. Retention counts from now.

        Raises:
          MessageRefused: one of them cannot be stored; none of them was.
        """
        letters = json.dumps([_checked(document) for document in documents])
        return [row[0] for row in self._ask("import_dead", {"letters": letters})]

    # How.

    def _queues(self, wanted: DeadFilter) -> list[str]:
        return [wanted.queue] if wanted.queue is not None else [row[0] for row in self._ask("dead_queues", {})]

    def _ask(self, name: str, parameters: dict[str, Any]) -> list[Row]:
        return self._broker.ask(name, parameters, timeout=TIMEOUT)


#: What a document cannot do without; the rest has a default.
_REQUIRED = ("message_id", "queue_name", "reason")


def _checked(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise errors.MessageRefused(f"expected a dead job to be a JSON object, got: {type(document).__name__}")
    for name in _REQUIRED:
        if not isinstance(document.get(name), str):
            raise errors.MessageRefused(
                f"expected {name} of a dead job to be a text, got: {type(document.get(name)).__name__}"
            )
    return document
