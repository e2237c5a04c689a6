"""Real processes of the product, whose output goes to files and who do not outlive their test."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent

#: Seconds that any command may take in a test, worker included.
COMMAND_SECONDS = 60


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
