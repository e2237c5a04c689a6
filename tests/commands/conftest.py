"""Running ``indexq``: in this process where only rows and output count, as a process of its own where more does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import dramatiq.broker
import pytest
from click.testing import CliRunner, Result
from git_repositories import Repository
from processes import Command

from commands.main import main

INDEXQ = Path(sys.executable).with_name("indexq")

Indexq = Callable[..., Result]
Begin = Callable[..., Command]


@pytest.fixture
def indexq(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexq]:
    """``indexq("status", "--json")`` in this process, on this test's database, as if freshly started."""
    monkeypatch.setenv("SUPABASE_DB_URL", database)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)

    def forget() -> dict[str, ModuleType]:
        """Unload the modules that read the settings when they are imported."""
        read = [name for name in sys.modules if name == "broker" or name.partition(".")[0] == "actors"]
        return {name: sys.modules.pop(name) for name in read}

    kept = forget()

    def run(*arguments: str | Path, **environ: str) -> Result:
        forget()
        result = CliRunner().invoke(main, [str(each) for each in arguments], env=environ, catch_exceptions=False)
        print(f"$ indexq {' '.join(map(str, arguments))}\n{result.output}")
        return result

    yield run
    forget()
    sys.modules.update(kept)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a real ``indexq``: ``begin("status", SUPABASE_DB_URL=...)``. No variable that is not given is set."""
    begun: list[Command] = []
    directory = tmp_path / "begun"
    directory.mkdir()

    def start(*arguments: str | bytes | Path, **environ: str) -> Command:
        begun.append(Command([INDEXQ, *arguments], environ, directory))
        return begun[-1]

    yield start
    for command in begun:
        command.remove()


@pytest.fixture
def worker(database: str, tmp_path: Path) -> Iterator[Command]:
    """A real ``dramatiq actors`` on this test's database, ended as an operator ends it."""
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "2"]
    started = Command(command, {"SUPABASE_DB_URL": database, "INDEX_PARALLELISM": "1"}, tmp_path)
    try:
        started.wait_to_say("is ready for action", 30)
        yield started
        started.send_signal(signal.SIGTERM)
        assert started.wait() == 0
    finally:
        started.remove()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two files with symbols and one without, in a directory called ``shapes``."""
    return Repository.make(
        tmp_path / "shapes",
        {
            "src/square.py": "class Square:\n    def area(self) -> int:\n        return 1\n\n\ndef draw(): ...\n",
            "web/draw.ts": "export function draw(): void {\n}\n",
            "notes.txt": "nothing here\n",
        },
    )
