"""What a machine knows of its worker processes without asking a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from waiting import wait_until

from leasequeue import LeaseBroker, Policy, Slots, current_lease
from leasequeue.vitals import LoopPulse, Pulse, PulseFile, read_pulses
from leasequeue.watchdog import EXIT_WEDGED, Silence

REPOSITORY = Path(__file__).resolve().parents[2]

BEAT = """
import sys, time; from pathlib import Path; from leasequeue.vitals import PulseFile
file = PulseFile(Path(sys.argv[1]))
now = time.monotonic()
file.write(dict(worker_id="w", pid=1, parent_pid=2, started=now, beat=now, draining=False, wedged=None, threads=1,
                live_threads=1, running=0, stuck_jobs=0, loops={"claim": (now, now)}))
print("beats", flush=True); sys.stdin.read()
"""


def facts(**changes: Any) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "worker_id": "w",
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "started": now,
        "beat": now,
        "draining": False,
        "wedged": None,
        "threads": 2,
        "live_threads": 2,
        "running": 0,
        "stuck_jobs": 0,
        "loops": {"claim": (now, now)},
        **changes,
    }


def pulse(**changes: Any) -> Pulse:
    values: dict[str, Any] = {**facts(), "beat_seconds": 0.5, "loops": {"claim": LoopPulse(1, 1)}, **changes}
    return Pulse(**{name: value for name, value in values.items() if name not in ("started", "beat")})


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that beat once in ``tmp_path``."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", BEAT, str(tmp_path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "beats\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_is_seen_by_others_until_it_closes_its_file(tmp_path: Path) -> None:
    file = PulseFile(tmp_path)
    file.write(facts(running=1))
    (seen,) = read_pulses(tmp_path)
    assert (seen.pid, seen.running, seen.state(60)) == (os.getpid(), 1, "working")
    file.remove()
    assert read_pulses(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_is_gone_and_what_it_left_is_removed(
    tmp_path: Path, other_process: Callable[[], subprocess.Popen[str]]
) -> None:
    process = other_process()
    assert len(read_pulses(tmp_path)) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert read_pulses(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_process_is_still_there_and_silent(
    tmp_path: Path, other_process: Callable[[], subprocess.Popen[str]]
) -> None:
    other_process().send_signal(signal.SIGSTOP)
    wait_until(lambda: read_pulses(tmp_path)[0].beat_seconds > 0.3, 5, "it goes on beating")
    (seen,) = read_pulses(tmp_path)
    assert seen.state(stuck_after=0.2) == "wedged"


def test_only_the_children_of_one_master_when_it_is_named(tmp_path: Path) -> None:
    ours, theirs = PulseFile(tmp_path), PulseFile(tmp_path)
    ours.write(facts(parent_pid=100))
    theirs.write(facts(parent_pid=200))
    assert [each.parent_pid for each in read_pulses(tmp_path, parent_pid=200)] == [200]
    ours.remove()
    theirs.remove()


def test_a_directory_that_is_not_there_has_no_processes(tmp_path: Path) -> None:
    assert read_pulses(tmp_path / "nowhere") == []


def test_a_child_that_outlives_its_parent_is_not_taken_for_it(tmp_path: Path) -> None:
    file = PulseFile(tmp_path)
    file.write(facts())
    born, ending = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(born[1], b"!")
        os.read(ending[0], 1)
        os._exit(0)
    os.read(born[0], 1)
    os.close(file._fd)  # as the kernel does for a parent that is killed
    file._fd = -1
    try:
        assert read_pulses(tmp_path) == []
    finally:
        os.write(ending[1], b"!")
        os.waitpid(child, 0)
        for fd in born + ending:
            os.close(fd)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "working"),
        ({"draining": True}, "draining"),
        ({"beat_seconds": 6.0}, "silent"),
        ({"beat_seconds": 61.0}, "wedged"),
        ({"wedged": "all worker threads have ended"}, "wedged"),
        ({"loops": {"claim": LoopPulse(1, 1), "keep": LoopPulse(61, 61)}}, "wedged"),
        ({"loops": {"claim": LoopPulse(1, 600)}}, "working"),  # it ticks; what it meets is the database's trouble
    ],
)
def test_the_state_of_a_process(changes: dict[str, Any], state: str) -> None:
    assert pulse(**changes).state(stuck_after=60) == state


class HangingSlots(Slots):
    """A claim loop that asks for a slot gets no answer."""

    def __init__(self) -> None:
        self.answer = threading.Event()

    def acquire(self, wanted: int) -> int:
        self.answer.wait()
        return wanted


def test_a_hung_claim_loop_is_found_and_told(
    make_broker: Callable[..., LeaseBroker],
    start_worker: Callable[..., dramatiq.Worker],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    slots = HangingSlots()
    broker = make_broker(
        slots=slots, policy=Policy(heartbeat=0.3, poll_interval=0.3, stuck_after=2.5), facts_directory=tmp_path
    )
    dramatiq.actor(lambda: None, broker=broker, actor_name="nothing")
    start_worker(broker)
    try:
        wait_until(lambda: any(each.wedged for each in read_pulses(tmp_path)), 10, "nobody noticed")
        (seen,) = read_pulses(tmp_path)
        assert "loop claim has been stuck" in str(seen.wedged)
        assert "worker_wedged" in caplog.text
        assert seen.loops["keep"].tick_seconds < 2 < seen.loops["claim"].tick_seconds
    finally:
        slots.answer.set()


def test_a_worker_tells_its_jobs_and_threads_and_leaves_no_file(
    make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., dramatiq.Worker], tmp_path: Path
) -> None:
    broker = make_broker(facts_directory=tmp_path)
    go_on = threading.Event()
    actor = dramatiq.actor(go_on.wait, broker=broker, actor_name="wait")
    worker = start_worker(broker, threads=3)
    actor.send()
    seen = wait_until(lambda: [each for each in read_pulses(tmp_path) if each.running], 10, "no job is told")
    assert (seen[0].threads, seen[0].live_threads, seen[0].state(60)) == (3, 3, "working")
    assert set(seen[0].loops) == {"claim", "finish", "keep"}
    go_on.set()
    worker.stop()
    assert list(tmp_path.glob("*.pulse")) == []


def test_a_job_past_its_time_limit_is_reported_once(
    make_broker: Callable[..., LeaseBroker],
    start_worker: Callable[..., dramatiq.Worker],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leasequeue.watchdog.STUCK_MARGIN", 0.0)
    broker = make_broker(facts_directory=tmp_path)
    go_on = threading.Event()
    limits: list[float] = []

    def work() -> None:
        lease = current_lease()
        assert lease is not None
        limits.append(lease.limit)
        go_on.wait()

    actor = dramatiq.actor(work, broker=broker, actor_name="deaf", time_limit=500)
    start_worker(broker)
    actor.send()
    try:
        wait_until(lambda: any(each.stuck_jobs == 1 for each in read_pulses(tmp_path)), 10, "it was not reported")
        beats = wait_until(lambda: read_pulses(tmp_path)[0].beat_seconds < 0.5, 5, "it does not look again")
        assert beats
        assert caplog.text.count("job_stuck") == 1
        assert limits == [0.5]
    finally:
        go_on.set()


def test_the_exit_code_of_a_wedged_process_is_none_of_dramatiqs() -> None:
    assert EXIT_WEDGED == 70


def test_a_process_that_was_stopped_does_not_take_its_loops_for_stuck() -> None:
    # Given a loop whose last sign was at 10,
    silence = Silence(now=10.0)
    silence.look({"keep": 10.0}, now=11.0)
    # When nothing of the process runs for a minute, and the one that watches is the first to go on,
    silence.look({"keep": 10.0}, now=71.0)
    # Then that counts for no more than a late look,
    assert silence.seconds("keep") == 3.0
    # and a sign for a new beginning; a loop that gives none is found all the same, also by late looks.
    silence.look({"keep": 71.5}, now=72.0)
    assert silence.seconds("keep") == 0.5
    for now in range(73, 80):
        silence.look({"keep": 71.5}, now=float(now))
    assert silence.seconds("keep") == 7.5
    silence.look({"keep": 71.5}, now=90.0)
    assert silence.seconds("keep") == 9.5
    # Nor does a stop count that comes right behind a sign.
    silence.look({"keep": 90.2}, now=150.0)
    assert silence.seconds("keep") == 2.0
