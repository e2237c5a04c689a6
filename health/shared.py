"""One question at a time, shared by all who want to know: probes cost the database the same, few or many."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

#: Seconds for which an error is told while the question is asked again.
KEEP_TROUBLE = 5.0


@dataclass(slots=True)
class _Flight(Generic[Answer]):
    """A question that was asked, and its answer once there is one. Moments are monotonic seconds."""

    future: Future[Answer]
    started_at: float
    ended_at: float = 0.0
    #: The question before this one, which has ended: what it led to is told for a while in place of an answer.
    before: _Flight[Answer] | None = None


class Shared(Generic[Answer]):
    """The answer to a question that blocks, for any number of coroutines of any event loop.

    Parameters:
      ask: the question. Runs on a thread of its own, never twice at the same time.
      keep: seconds for which an answer, an error too, is given again.
      within: seconds from the question until those who wait are told that there is no answer.
      meanwhile: seconds for which an answer is still given while it is asked again, so that nobody waits; not less
        than ``keep``. 0: those who come then wait.
    """

    def __init__(self, ask: Callable[[], Answer], *, keep: float, within: float, meanwhile: float = 0.0) -> None:
        self._ask = ask
        self._keep = keep
        self._within = within
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._flight: _Flight[Answer] | None = None

    async def get(self) -> tuple[Answer, float]:
        """The answer and its age in seconds: not more than ``keep``, or than ``meanwhile`` where that is more.

        Raises:
          TimeoutError: none came in time. While the question is still open, those who come later are told at once.
          Exception: what the question raised. While it is asked again, that is told at once: hundreds who wait for a
            database that does not answer would all be answered in the same moment.
        """
        flight = self._current()
        before = flight.before
        if not flight.future.done():
            if before is not None and self._is_good_meanwhile(before):
                return _told(before)
            left = flight.started_at + self._within - time.monotonic()
            async with asyncio.timeout(max(0.0, left)):
                await _landing(flight.future)
        return _told(flight)

    def _current(self) -> _Flight[Answer]:
        with self._lock:
            flight = self._flight
            if flight is None or (flight.future.done() and time.monotonic() - flight.ended_at >= self._keep):
                if flight is not None:
                    flight.before = None  # or all that were ever asked would be kept
                flight = self._flight = _Flight(Future(), time.monotonic(), before=flight)
                # Not of a pool that the interpreter waits for when it ends: a name server may hang for minutes.
                threading.Thread(target=self._answer, args=(flight,), name="health question", daemon=True).start()
            return flight

    def _is_good_meanwhile(self, flight: _Flight[Answer]) -> bool:
        limit = self._meanwhile if flight.future.exception() is None else KEEP_TROUBLE
        return time.monotonic() - flight.ended_at <= limit

    def _answer(self, flight: _Flight[Answer]) -> None:
        try:
            answer = self._ask()
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told
            flight.ended_at = time.monotonic()
            flight.future.set_exception(error)
        else:
            flight.ended_at = time.monotonic()
            flight.future.set_result(answer)


def _told(flight: _Flight[Answer]) -> tuple[Answer, float]:
    """What a question led to that has ended: its answer with the answer's age, or its error."""
    error = flight.future.exception()
    if error is not None:
        raise error.with_traceback(None)  # or it would grow with each one who is told
    return flight.future.result(), max(0.0, time.monotonic() - flight.ended_at)


async def _landing(future: Future[Answer]) -> None:
    """Wait for the end of a future without taking part in it: who gives up must not cancel it for the others."""
    loop, landed = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[Answer]) -> None:
        with suppress(RuntimeError):  # the loop of one who gave up is closed by now
            loop.call_soon_threadsafe(landed.set)

    future.add_done_callback(tell)
    await landed.wait()
