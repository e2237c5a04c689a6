"""One question at a time, however many ask."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from waiting import wait_until

from health import checks
from health.shared import Shared


class Question:
    """Counts how often it is asked; answers when it may, with what it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.asked += 1
        self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.asked


def test_many_who_ask_at_once_share_one_question_and_then_its_answer() -> None:
    question = Question()
    shared = Shared(question, keep=10, within=10)

    async def ask() -> list[tuple[int, float]]:
        waiting = [asyncio.create_task(shared.get()) for _ in range(50)]
        await asyncio.sleep(0)
        question.may_answer.set()
        return await asyncio.gather(*waiting)

    answers = asyncio.run(ask())
    assert {answer for answer, _ in answers} == {1}
    assert asyncio.run(shared.get())[0] == 1  # in another event loop
    assert question.asked == 1


def test_an_answer_is_asked_for_anew_when_it_is_old() -> None:
    question = Question()
    question.may_answer.set()
    shared = Shared(question, keep=0, within=10)
    assert [asyncio.run(shared.get())[0] for _ in range(3)] == [1, 2, 3]


def test_nobody_waits_while_a_good_answer_is_not_too_old_and_it_is_asked_again() -> None:
    question = Question()
    question.may_answer.set()
    shared = Shared(question, keep=0, within=10, meanwhile=10)
    assert asyncio.run(shared.get())[0] == 1
    question.may_answer.clear()
    for _ in range(20):
        answer, age = asyncio.run(asyncio.wait_for(shared.get(), 5))
        assert (answer, age <= 10) == (1, True)
    assert question.asked == 2
    question.may_answer.set()
    wait_until(lambda: asyncio.run(shared.get())[0] > 1, 5, "the old answer is told for ever")


def test_an_answer_that_is_too_old_is_waited_for() -> None:
    question = Question()
    question.may_answer.set()
    shared = Shared(question, keep=0, within=0.2, meanwhile=0)
    asyncio.run(shared.get())
    question.may_answer.clear()
    with pytest.raises(TimeoutError):
        asyncio.run(shared.get())
    question.may_answer.set()


def test_a_change_is_told_within_two_seconds() -> None:
    assert checks.KEEP_FACTS + checks.QUESTION_WITHIN <= 2
    assert checks.KEEP_MEANWHILE <= 2
    assert checks.QUESTION_WITHIN < checks.ANSWER_WITHIN < 2


def test_who_waits_for_too_long_is_told_and_who_comes_later_at_once() -> None:
    question = Question()
    shared = Shared(question, keep=0, within=0.2)
    with pytest.raises(TimeoutError):
        asyncio.run(shared.get())
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            asyncio.run(shared.get())
    assert time.monotonic() - started < 0.2
    assert question.asked == 1
    question.may_answer.set()


def test_an_error_is_told_at_once_while_it_is_asked_again() -> None:
    question = Question()
    question.error = ValueError("away")
    question.may_answer.set()
    shared = Shared(question, keep=0, within=5)
    with pytest.raises(ValueError, match="away"):
        asyncio.run(shared.get())
    question.may_answer.clear()
    for _ in range(20):
        with pytest.raises(ValueError, match="away") as told:
            asyncio.run(shared.get())
        assert len(told.traceback) < 15  # it does not grow with each one who is told
    assert question.asked == 2
    question.error = None
    question.may_answer.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert asyncio.run(shared.get())[0] >= 2
            break
        except ValueError:
            continue
    else:
        raise AssertionError("the error is told for ever")
