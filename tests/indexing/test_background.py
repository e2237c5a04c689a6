"""What happens beside the parsing: one call at a time, whose failure is the caller's, and that nobody leaves behind."""

from __future__ import annotations

import threading

import pytest

from indexing.background import Abandoned, Background


class Stop(Exception):
    pass


def test_a_call_gives_what_it_returns_or_raises_to_who_waits() -> None:
    with Background("test") as background:
        assert background.wait() is None
        background.start(lambda: 3)
        assert background.wait() == 3
        assert background.wait() is None
        background.start(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            background.wait()
        assert background.wait() is None


def test_a_call_that_runs_out_of_time_by_itself_is_no_reason_to_wait_on() -> None:
    def out_of_time() -> None:
        raise TimeoutError

    with Background("test") as background:
        background.start(out_of_time)
        with pytest.raises(TimeoutError):
            background.wait()


def test_the_caller_can_stop_waiting_and_the_call_is_told() -> None:
    ended: list[type[BaseException]] = []
    never = threading.Event()

    def hang(background: Background) -> None:
        try:
            while not never.wait(0.01):
                background.check()
        except Abandoned as error:
            ended.append(type(error))
            raise

    def stop() -> None:
        raise Stop

    def start_and_stop() -> None:
        with Background("test") as background:
            background.start(lambda: hang(background))
            background.wait(stop)

    with pytest.raises(Stop):
        start_and_stop()
    # Its end was waited for.
    assert ended == [Abandoned]
