"""Running ``indexq``: in this process where only rows and output count, as a process of its own where more does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq.broker
import pytest
from click.testing import CliRunner, Result
from git_repositories import Repository
from waiting import wait_until

from commands.main import main

ROOT = Path(__file__).resolve().parents[2]
INDEXQ = Path(sys.executable).with_name("indexq")

#: Seconds that any command may take in a test, worker included.
COMMAND_SECONDS = 60

#: Modules that read the settings when they are imported.
_READ_THE_SETTINGS = ("broker", "actors", "actors.index_repo", "actors.payloads")

Indexq = Callable[..., Result]
Begin = Callable[..., "Command"]


@pytest.fixture
def indexq(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexq]:
    """``indexq("status", "--json")`` in this process, on this test's database, as if freshly started."""
    monkeypatch.setenv("SUPABASE_DB_URL", database)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)
    kept = {name: sys.modules.pop(name) for name in _READ_THE_SETTINGS if name in sys.modules}

    def forget() -> None:
        for name in _READ_THE_SETTINGS:
            sys.modules.pop(name, None)

    def run(*arguments: str | Path, **environ: str) -> Result:
        forget()
        result = CliRunner().invoke(main, [str(each) for each in arguments], env=environ, catch_exceptions=False)
        print(f"$ indexq {' '.join(map(str, arguments))}\n{result.output}")
        return result

    yield run
    forget()
    sys.modules.update(kept)


class Command:
    """A process of ``indexq`` or ``dramatiq`` whose output goes to files; it does not outlive the test."""

    def __init__(self, command: list[str | bytes | Path], environ: dict[str, str], directory: Path) -> None:
        self._out, self._err = directory / f"out-{id(self)}", directory / f"err-{id(self)}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT if "actors" in command else directory,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = COMMAND_SECONDS) -> int:
        return self.process.wait(seconds)

    def wait_to_say(self, text: str, seconds: float = 20) -> None:
        """Wait until ``text`` is in what it wrote to stderr."""
        wait_until(lambda: text in self.stderr or self.process.poll() is not None, seconds, f"to say {text!r}")
        assert text in self.stderr

    def remove(self) -> None:
        self.process.kill()
        self.process.wait(10)
        print(f"$ {self.process.args!r}\n{self.stdout}\n--- stderr\n{self.stderr}")


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
