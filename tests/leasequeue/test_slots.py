"""So many jobs at once on a machine, whatever the number of processes, and however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dramatiq
import pytest
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, MachineSlots, Policy, Slots

REPOSITORY = Path(__file__).resolve().parents[2]

HOLD_TWO = """
import sys; from pathlib import Path; from leasequeue import MachineSlots
print(MachineSlots(Path(sys.argv[1]), 3).acquire(2), flush=True); sys.stdin.read()
"""


def test_two_holders_in_one_process_share_the_slots(tmp_path: Path) -> None:
    first, second = MachineSlots(tmp_path / "slots", 3), MachineSlots(tmp_path / "slots", 3)
    assert (first.acquire(2), second.acquire(2), first.acquire(1)) == (2, 1, 0)
    first.release(1)
    assert second.acquire(5) == 1
    second.release(5)
    assert first.acquire(5) == 2


def test_slots_of_a_killed_process_are_free_again(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_TWO, str(tmp_path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "2\n"
    ours = MachineSlots(tmp_path, 3)
    assert ours.acquire(3) == 1
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    wait_until(lambda: ours.acquire(1), 5, "the slot was not given back")


class NoSlots(Slots):
    """Somebody else holds them all. Counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, wanted: int) -> int:
        self.asked += 1
        return 0


def test_a_worker_without_a_slot_waits_and_does_not_ask_without_a_pause(
    make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., dramatiq.Worker], sql: Sql
) -> None:
    slots = NoSlots()
    broker = make_broker(slots=slots, policy=Policy(poll_interval=0.2))
    nothing = dramatiq.actor(lambda: None, broker=broker, actor_name="nothing")
    nothing.send()
    start_worker(broker)
    wait_until(lambda: slots.asked >= 5, 10, "it does not ask for a slot")
    before, started = slots.asked, time.monotonic()
    wait_until(lambda: slots.asked >= before + 5, 10, "it has stopped asking")
    assert time.monotonic() - started > 0.5
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]


def test_two_workers_share_the_machine(
    make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., dramatiq.Worker], sql: Sql, tmp_path: Path
) -> None:
    at_once: list[int] = []
    running = [0]
    lock = threading.Lock()
    pause = threading.Event()

    def work() -> None:
        with lock:
            running[0] += 1
            at_once.append(running[0])
        pause.wait(0.05)
        with lock:
            running[0] -= 1

    for _ in range(2):
        broker = make_broker(slots=MachineSlots(tmp_path, 3))
        actor = dramatiq.actor(work, broker=broker, actor_name="work")
        start_worker(broker, threads=4)
    broker.enqueue_many(actor.message() for _ in range(60))
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(60,)], 20, "not all were run")
    assert max(at_once) == 3


def test_without_a_limit_every_wish_is_granted() -> None:
    assert Slots().acquire(1_000) == 1_000


def test_no_slot_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected at least one slot, got: 0"):
        MachineSlots(Path("/nowhere"), 0)
