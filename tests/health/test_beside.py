"""The health application that ``dramatiq`` itself runs beside its workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from ports import free_port
from waiting import wait_until

from health.beside import SESSION_NICENESS

from .conftest import House
from .test_states import put, wait_for_running


def test_it_sees_its_own_workers_and_outlives_their_drain(house: House, database: str) -> None:
    port = free_port()
    house.workers(database)  # of another master on the same machine
    workers = house.workers(database, processes=2, threads=2, HEALTH_PORT=str(port), DRAIN_SECONDS="3")
    workers.wait_to_say("health_serving")
    probe = house.probe(database, port)
    wait_until(lambda: probe.codes() == (200, 200, 200, 200), 10, "healthy")
    assert len(probe.ask("live")[1]["processes"]) == 2
    for _ in range(4):
        put(database, "work", 600)
    wait_until(lambda: sum(p["running"] for p in probe.ask("live")[1]["processes"]) >= 2, 10, "they run")

    workers.send_signal(signal.SIGTERM, group=True)  # the fork hears it as well, twice
    wait_until(lambda: probe.ask("ready")[1]["reasons"], 5, "it does not say that it drains")
    seen = []
    with suppress(httpx.TransportError):  # its end
        while True:
            seen.append(probe.codes())
    assert len(seen) > 10
    assert set(seen) == {(200, 503, 200, 503)}
    assert workers.process.wait(10) == 0
    wait_until(lambda: not _listens(port), 5, "it outlives its workers")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_a_session_of_its_own_so_that_its_turns_at_the_processor_are_not_those_of_the_workers(
    house: House, database: str
) -> None:
    workers = house.workers(database, processes=2, HEALTH_PORT=str(free_port()))
    workers.wait_to_say("health_serving")
    master = workers.process.pid
    children = [int(child) for child in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    (apart,) = (child for child in children if os.getsid(child) != master)
    assert os.getsid(apart) == apart
    group = Path(f"/proc/{apart}/autogroup")
    if os.geteuid() == 0 and group.exists():
        assert group.read_text().endswith(f" nice {SESSION_NICENESS}\n")


def test_without_a_port_there_is_none(house: House, database: str) -> None:
    workers = house.workers(database, HEALTH_PORT="")
    assert "ForkProcess" not in workers.said()


def test_a_port_that_is_taken_is_waited_for(house: House, database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as predecessor:
        port = predecessor.getsockname()[1]
        workers = house.workers(database, HEALTH_PORT=str(port))
        workers.wait_to_say("health_port_taken")
    workers.wait_to_say("health_serving")
    assert house.probe(database, port).ask("live")[0] == 200


def test_it_ends_with_its_workers_when_the_master_is_killed(house: House, database: str) -> None:
    port = free_port()
    workers = house.workers(database, HEALTH_PORT=str(port))
    workers.wait_to_say("health_serving")
    probe = house.probe(database, port)
    wait_for_running(probe, 0)
    (process,) = probe.ask("live")[1]["processes"]
    workers.send_signal(signal.SIGKILL)
    assert probe.ask("live")[0] == 200  # the worker goes on, and so does who tells of it
    os.kill(process["pid"], signal.SIGKILL)
    wait_until(lambda: not _listens(port), 5, "it outlives its workers")


ORPHAN = """
import multiprocessing, os, sys

def serve():
    import health_app
    from waiting import wait_until
    wait_until(lambda: os.getppid() != master, 30, "our parent to die before we have begun")
    sys.exit(health_app.serve_beside_workers())

master = os.getpid()
fork = multiprocessing.get_context("fork").Process(target=serve)
fork.start()
print("orphan", fork.pid, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_ends_also_when_the_master_was_gone_before_it_began(house: House, database: str) -> None:
    port = free_port()
    program = house.run(["-c", ORPHAN], database, HEALTH_PORT=str(port))
    program.wait_to_say("orphan ")
    (orphan,) = re.findall(r"orphan (\d+)", program.said())
    try:
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), 15, "it serves for ever")
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(orphan), signal.SIGKILL)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
