"""So many jobs at once on a machine, whatever the number of processes, and however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from leasequeue import MachineSlots, Slots

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


def test_without_a_limit_every_wish_is_granted() -> None:
    assert Slots().acquire(1_000) == 1_000


def test_no_slot_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected at least one slot, got: 0"):
        MachineSlots(Path("/nowhere"), 0)
