"""Does what a page says, block after block, in a checkout of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from contextlib import closing, suppress
from pathlib import Path

import psycopg2
import yaml
from waiting import wait_until

from .blocks import Block

#: Seconds that one block may take, and that a program in the background may take to be there or to end.
SECONDS = 60

#: How a program may end that was told to. uvicorn ends by the signal itself, behind its own shutdown.
GOOD_ENDS = (0, 130, -signal.SIGTERM)

#: Reads a program in JSON from each line, runs all of them in one namespace, answers each with a line.
INTERPRETER = """
import json, sys, traceback
here = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<block>", "exec"), here)
        answer = ""
    except BaseException:
        answer = traceback.format_exc()
    print(json.dumps({"failed": answer}), file=sys.__stderr__, flush=True)
"""


class Runner:
    """One page: a shell whose variables and directory outlive a block, a Python, programs in the background.

    Parameters:
      directory: where the page begins: the root of a checkout.
      database: where its SQL goes.
      environ: all variables that its shell begins with.
      stand_ins: text of the page -> what is put in its place, for what no test may reach.
    """

    def __init__(
        self, directory: Path, database: str, environ: Mapping[str, str], stand_ins: Mapping[str, str], logs: Path
    ) -> None:
        self._directory = directory
        self._database = database
        self._environ = dict(environ)
        self._stand_ins = stand_ins
        self._logs = logs
        self._python: subprocess.Popen[str] | None = None
        self._programs: list[tuple[Block, subprocess.Popen[bytes]]] = []

    def prepare(self, statements: str) -> None:
        """Give the database what a page begins with."""
        self._execute(self._with_stand_ins(statements))

    def give_a_queue(self) -> None:
        """Name the database to whatever is run from now on, and make the tables in it."""
        self._environ["SUPABASE_DB_URL"] = self._database
        subprocess.run(["indexq", "migrate"], env=self._environ, check=True, timeout=SECONDS)

    def forget_role(self, name: str) -> None:
        """Remove a role that the page has made, with its rights in the database."""
        with closing(psycopg2.connect(self._database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
            if cursor.rowcount:
                cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")

    def run(self, block: Block) -> None:
        """Do what one block says. AssertionError when that fails."""
        text = self._with_stand_ins(block.text)
        doers: dict[str, Callable[[Block, str], None]] = {
            "run": {"sh": self._shell, "python": self._run_python, "sql": self._sql}.get(block.language, self._look),
            "file": self._write,
            "background": self._begin,
            "not run": self._look_over,
            "look": self._look,
        }
        doers[block.action](block, text)

    def end(self) -> None:
        """End what still runs, as an operator would: by SIGTERM."""
        if self._python is not None:
            self._python.kill()
            self._python.communicate()
        for _, program in self._programs:
            program.terminate()
        try:
            for block, program in self._programs:
                code = program.wait(SECONDS)
                assert code in GOOD_ENDS, f"{block}: it ended with {code}\n{self._said(block)}"
        finally:
            for _, program in self._programs:
                _kill(program)

    def _with_stand_ins(self, text: str) -> str:
        for documented, stand_in in self._stand_ins.items():
            text = text.replace(documented, stand_in)
        return text

    # What a block can be.

    def _shell(self, block: Block, text: str) -> None:
        state = self._logs / "state"
        keep = f"\nenv -0 > '{state}'; pwd > '{state}.directory'\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text + keep],
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        print(f"--- {block}\n{text}{output}")
        assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{text}\n{output}{self._programs_said()}"
        self._environ = dict(line.split("=", 1) for line in state.read_text().split("\0") if "=" in line)
        self._directory = Path(Path(f"{state}.directory").read_text().rstrip("\n"))

    def _run_python(self, block: Block, text: str) -> None:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER],
                cwd=self._directory,
                env=self._environ | {"PYTHONPATH": str(self._directory)},
                stdin=subprocess.PIPE,
                stdout=(self._logs / "python").open("w"),
                stderr=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stderr is not None
        self._python.stdin.write(json.dumps(text) + "\n")
        self._python.stdin.flush()
        said = ""
        for line in self._python.stderr:
            if line.startswith('{"failed": '):
                failed = json.loads(line)["failed"]
                assert not failed, f"{block}:\n{text}\n{failed}{said}{self._programs_said()}"
                return
            said += line
        raise AssertionError(f"{block}: its Python ended\n{said}")

    def _sql(self, block: Block, text: str) -> None:
        try:
            self._execute(text)
        except psycopg2.Error as error:
            raise AssertionError(f"{block}: {error}\n{text}") from None

    def _execute(self, statements: str) -> None:
        with closing(psycopg2.connect(self._database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statements)

    def _write(self, block: Block, text: str) -> None:
        path = self._directory / block.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._parse(block, text)

    def _begin(self, block: Block, text: str) -> None:
        with self._log(block).open("wb") as log:
            program = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: block.argument in self._said(block) or program.poll() is not None,
                SECONDS,
                f"{block} to be there",
            )
            assert block.argument in self._said(block), f"{block}: it ended with {program.poll()}\n{self._said(block)}"
        except AssertionError:
            _kill(program)
            raise
        self._programs.append((block, program))

    def _look_over(self, block: Block, text: str) -> None:
        assert len(block.argument) > 10, f"{block}: why is it not run?"
        self._parse(block, text)

    def _look(self, block: Block, text: str) -> None:
        pass

    def _parse(self, block: Block, text: str) -> None:
        """Whether the text is one of its language."""
        try:
            match block.language:
                case "sh":
                    subprocess.run(["bash", "-n", "-c", text], check=True, capture_output=True, timeout=SECONDS)
                case "python":
                    compile(text, str(block), "exec")
                case "yaml":
                    list(yaml.safe_load_all(text))
                case "toml":
                    tomllib.loads(text)
                case "json":
                    json.loads(text)
                case "ini":
                    ConfigParser(strict=False, interpolation=None).read_string(text)
        except (subprocess.CalledProcessError, SyntaxError, yaml.YAMLError, IniError, ValueError) as error:
            raise AssertionError(f"{block}: no {block.language}: {error}") from None

    def _log(self, block: Block) -> Path:
        return self._logs / f"line-{block.line}"

    def _said(self, block: Block) -> str:
        return self._log(block).read_text(errors="replace")

    def _programs_said(self) -> str:
        return "".join(f"\n--- {block} said\n{self._said(block)[-3000:]}" for block, _ in self._programs)


def _kill(program: subprocess.Popen[bytes]) -> None:
    """Away with a program and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait(SECONDS)
