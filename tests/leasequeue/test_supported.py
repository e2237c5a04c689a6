"""Where the queue cannot run, it says so in one line: an old server, Windows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import dramatiq
import pytest

from leasequeue import LeaseBroker, ServerTooOld, migrations
from leasequeue.admin.doctor import Doctor
from leasequeue.middleware import BootFailed

#: There is no old server to be had, so a future release of ours meets the one that there is.
FUTURE = 99

TOO_OLD = r"^expected PostgreSQL 99 or newer, got: \d+\.\d+; upgrade the server$"


@pytest.fixture
def future(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leasequeue.connection.OLDEST_SERVER", FUTURE)


@pytest.mark.usefixtures("future")
def test_an_old_server_is_not_migrated(empty_database: str) -> None:
    with pytest.raises(ServerTooOld, match=TOO_OLD):
        migrations.migrate(empty_database, schema="dramatiq")


@pytest.mark.usefixtures("future")
@pytest.mark.parametrize("auto_migrate", [True, False])
def test_no_worker_starts_on_an_old_server(auto_migrate: bool, make_broker: Callable[..., LeaseBroker]) -> None:
    worker = dramatiq.Worker(make_broker(auto_migrate=auto_migrate))
    with pytest.raises(BootFailed, match=r"^The worker cannot start: expected PostgreSQL 99 or newer"):
        worker.start()


@pytest.mark.usefixtures("future")
def test_the_doctor_finds_an_old_server(broker: LeaseBroker) -> None:
    (first, *_) = Doctor(broker).examine()
    assert (first.name, first.level) == ("server", "failure")
    assert first.told.startswith("expected PostgreSQL 99 or newer, got: ")


def test_windows_is_named_before_an_import_fails() -> None:
    code = "import sys; sys.platform = 'win32'; import leasequeue"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    said = answer.stderr.splitlines()[-1]
    assert said == "ImportError: expected Linux or macOS, got: Windows; run it inside WSL 2"
