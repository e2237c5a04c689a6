"""A block in which sends belong to the caller's transaction::

with broker.transaction(connection):
    index_repo.send(...)

async with broker.transaction(session) as transaction:
    await transaction.run(index_repo.send, ...)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from dramatiq.message import Message

from .callers import caller_of
from .sender import Placed, Sender, Statement, as_placed, placed_by

if TYPE_CHECKING:
    from .broker import LeaseBroker

P = ParamSpec("P")
R = TypeVar("R")


class Transaction:
    """Made by :meth:`.LeaseBroker.transaction`, for one block. It never commits, rolls back or closes anything.

    Which block a send belongs to goes by the context (PEP 567): the innermost one of its broker that the calling thread
    or task is in, or was in when the task or ``asyncio.to_thread`` began it. After the block, sends are ordinary again.
    """

    def __init__(self, broker: LeaseBroker, sender: Sender, connection: Any) -> None:
        self._broker = broker
        self._sender = sender
        self._kind = type(connection).__name__
        self._caller = caller_of(connection)
        #: The queues of jobs that were sent here and are due at once: rung for behind the block.
        self._queue_names: set[str] = set()
        self._token: Token[tuple[Transaction, ...]] | None = None
        self._is_over = False

    def __enter__(self) -> Transaction:
        if self._caller.is_async:
            raise TypeError(f"expected `async with broker.transaction(...)` for an {self._kind}, got `with`")
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    async def __aenter__(self) -> Transaction:
        if not self._caller.is_async:
            raise TypeError(f"expected `with broker.transaction(...)` for a {self._kind} that blocks, got `async with`")
        self._enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    async def run(self, send: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``send(*args, **kwargs)`` and store what it sent before this returns; for asynchronous connections.

        Parameters:
          send: what sends and does not wait: ``index_repo.send``, ``group(...).run``, ``send_many``, a function.

        Returns:
          What ``send`` returned. A message, or a list of messages, that was merged has the id of the other job.

        Raises:
          what :meth:`.LeaseBroker.enqueue` raises, and whatever ``send`` does: then nothing of it is stored.

        A plain ``send()`` cannot wait for an asynchronous connection. It would have to be kept until the end of the
        block, where a savepoint that it was sent in may be gone: so it is refused there.
        """
        if not self._caller.is_async:
            raise TypeError(f"expected a plain send in the block of a {self._kind} that blocks, got run()")
        gathered: list[Statement] = []
        token = _gathered.set(gathered)
        try:
            result = send(*args, **kwargs)
        finally:
            _gathered.reset(token)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("expected a function that sends and does not wait, got one that is asynchronous")
        placed: dict[str, Placed] = {}
        for statement in gathered:
            placed |= placed_by(await self._caller.execute(statement))
        return cast(R, _with_places(result, placed))

    def store(
        self, messages: Sequence[Message[Any]], *, name: str, delay: float, expire_after: float | None
    ) -> dict[str, Placed]:
        """Called by the broker for what is sent in the block. Times in seconds.

        Returns which job each message with a key or an owner became; nothing yet under :meth:`run`.
        """
        statements = self._sender.statements(messages, name=name, delay=delay, expire_after=expire_after)
        if not delay:
            self._queue_names |= {message.queue_name for message in messages}
        if not self._caller.is_async:
            placed: dict[str, Placed] = {}
            for statement in statements:
                placed |= placed_by(self._caller.execute(statement))
            return placed
        gathered = _gathered.get()
        if gathered is None:
            raise RuntimeError(
                "expected `await transaction.run(actor.send, ...)` in a block of `async with broker.transaction(...)`, "
                "got a plain send: it cannot wait for an asynchronous connection"
            )
        gathered.extend(statements)
        return {}

    def belongs_to(self, broker: LeaseBroker) -> bool:
        """Whether sends of this broker are meant, here and now."""
        return self._broker is broker and not self._is_over

    def _enter(self) -> None:
        if self._token is not None:
            raise RuntimeError("expected a transaction() for each block, got one that was entered before")
        self._token = _entered.set((*_entered.get(), self))

    def _leave(self) -> None:
        assert self._token is not None, "it was entered"
        self._is_over = True
        self._broker.ring_soon(self._queue_names)
        try:
            _entered.reset(self._token)
        except ValueError as error:
            raise RuntimeError(
                "expected a block of transaction() to be left where it was entered, got another thread or task: "
                "what was sent in between may not have been part of the transaction"
            ) from error


#: The blocks around the calling thread or task, the innermost one last.
_entered: ContextVar[tuple[Transaction, ...]] = ContextVar("leasequeue_transactions", default=())

#: What the function under :meth:`Transaction.run` has sent so far.
_gathered: ContextVar[list[Statement] | None] = ContextVar("leasequeue_gathered", default=None)


def current(broker: LeaseBroker) -> Transaction | None:
    """The innermost block of this broker that the calling thread or task is in."""
    for transaction in reversed(_entered.get()):
        if transaction.belongs_to(broker):
            return transaction
    return None


def _with_places(result: Any, placed: dict[str, Placed]) -> Any:
    if isinstance(result, Message):
        return as_placed(result, placed.get(result.message_id))
    return [_with_places(each, placed) for each in result] if placed and isinstance(result, list) else result
