"""Many threads, few round trips: who comes while a statement is under way goes with the next one, together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

#: Items that go together at the most.
GROUP_LIMIT = 100


class GroupFailed(Exception):
    """An item's group failed; its cause is what the work raised. The item must be tried by itself."""


class TookTooLong(Exception):
    """An item was not worked on in time. ``begun``: somebody was at it, so it may still come to an end."""

    def __init__(self, begun: bool) -> None:
        super().__init__("too long")
        self.begun = begun


class _Ticket(Generic[Item]):
    __slots__ = ("begun", "bell", "error", "item", "leads")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.bell = threading.Lock()
        self.bell.acquire()
        self.leads = False
        self.begun = False
        self.error: BaseException | None = None


class Grouping(Generic[Item]):
    """Runs ``work(items)`` for what many threads bring, at most ``leaders`` calls at a time.

    A thread that finds a call free makes it at once, with whatever waits: alone, it never waits for company. One that
    finds none free waits until a leader has taken its item along, or until it becomes a leader itself. A leader makes
    one call and hands over, so nobody works for others for longer than for itself.
    """

    def __init__(self, work: Callable[[list[Item]], None], leaders: int) -> None:
        self._work = work
        self._free = leaders
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket[Item]] = deque()

    def bring(self, item: Item, timeout: float) -> None:
        """Returns when the item was worked on, by this thread or another one.

        Raises:
          GroupFailed: the call that it was part of failed.
          TookTooLong: after ``timeout`` seconds of waiting; a call that this thread makes itself is not counted.
        """
        with self._lock:
            goes_alone = self._free > 0
            if goes_alone:
                self._free -= 1
            else:
                ticket = _Ticket(item)
                self._waiting.append(ticket)
        if goes_alone:  # nobody waits while a call is free
            try:
                self._work([item])
            except Exception as error:
                raise GroupFailed from error
            finally:
                self._hand_over()
            return
        if not ticket.bell.acquire(timeout=timeout):
            self._leave(ticket)
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise GroupFailed from ticket.error

    def _leave(self, ticket: _Ticket[Item]) -> None:
        with self._lock:
            if ticket.leads or ticket.bell.acquire(blocking=False):
                return  # at the last moment it became a leader, or was done
            if not ticket.begun:
                self._waiting.remove(ticket)
        raise TookTooLong(ticket.begun)

    def _lead(self, leader: _Ticket[Item]) -> None:
        with self._lock:
            group = [leader, *(self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_LIMIT - 1)))]
            for ticket in group:
                ticket.begun = True
        error: BaseException | None = None
        try:
            self._work([ticket.item for ticket in group])
        except Exception as failure:  # noqa: BLE001  # each thread of the group gets it
            error = failure
        except BaseException as interruption:
            error = interruption
            raise
        finally:
            for ticket in group:
                ticket.error = error
                if ticket is not leader:
                    ticket.bell.release()
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            if self._waiting:
                successor = self._waiting.popleft()
                successor.leads = True
                successor.bell.release()
            else:
                self._free += 1
