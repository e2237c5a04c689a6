"""``check_queue_health()`` in an API process: true, false, and never an exception or a long wait."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from throwaway_postgres import ThrowawayPostgres

from leasequeue import migrations

from .conftest import ANSWER_SECONDS, ROOT

#: Seconds by which a busy machine may be late.
MARGIN_SECONDS = 0.3


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Of a server whose kernel takes connections that nobody ever answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        yield f"postgresql://someone:s3cret-word@127.0.0.1:{silent.getsockname()[1]}/product"


class ApiProcess:
    """A process that has imported ``broker`` and answers with ``check_queue_health()`` for each line it is sent."""

    CODE = """
import sys, time
import broker
for line in sys.stdin:
    started = time.monotonic()
    print(broker.check_queue_health(), time.monotonic() - started, flush=True)
"""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            cwd=ROOT,
            env={**os.environ, "SUPABASE_DB_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> str:
        """What it returned, as text."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        answer, seconds = self.process.stdout.readline().split()
        assert float(seconds) < ANSWER_SECONDS + MARGIN_SECONDS
        return answer

    def remove(self) -> None:
        _, errors = self.process.communicate(timeout=10)
        assert errors == ""
        assert self.process.returncode == 0


@pytest.fixture
def api_process() -> Iterator[Callable[[str], ApiProcess]]:
    """Starts one: ``api_process(url)``."""
    started: list[ApiProcess] = []

    def start(url: str) -> ApiProcess:
        started.append(ApiProcess(url))
        return started[-1]

    yield start
    for each in started:
        each.remove()


def test_check_queue_health_is_true_false_while_the_database_is_gone_and_true_again(
    api_process: Callable[[str], ApiProcess], queue_server: ThrowawayPostgres
) -> None:
    api = api_process(queue_server.url)
    assert api.ask() == "True"

    queue_server.stop()
    assert api.ask() == "False"
    assert api.ask() == "False"

    queue_server.start()
    assert api.ask() == "True"


def test_check_queue_health_is_false_without_a_schema(
    api_process: Callable[[str], ApiProcess], empty_database: str
) -> None:
    api = api_process(empty_database)
    assert api.ask() == "False"

    migrations.migrate(empty_database, schema="dramatiq")
    assert api.ask() == "True"


def test_check_queue_health_is_false_in_time_when_nobody_answers(
    api_process: Callable[[str], ApiProcess], silent_url: str
) -> None:
    assert api_process(silent_url).ask() == "False"
