"""The wheel of leasequeue in an empty project: a fresh environment, nothing of this repository, another schema."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from build_packages import ROOT, stage_leasequeue
from processes import Command

EXAMPLE = ROOT / "examples" / "alone"

#: Seconds for pip: what it installs is small, but it may have to be fetched.
INSTALL_SECONDS = 120

#: Modules of the application, with names that other applications have, too.
OURS_ONLY = ("actors", "broker", "commands", "database_url", "health", "health_app", "indexing", "logs", "settings")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = stage_leasequeue(tmp_path_factory.mktemp("sources"))
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", out, directory, python=sys.executable)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel, what it asks for, and pytest."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    pip("install", "--constraint", ROOT / "constraints.txt", wheel, "pytest", python=python)
    return python


def pip(*arguments: str | Path, python: str | Path) -> None:
    answer = subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example as somebody copies it."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


def run(python: Path, project: Path, database: str, *arguments: str) -> str:
    answer = subprocess.run(
        [python, *arguments],
        cwd=project,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture
def workers(python: Path, project: Path, empty_database: str) -> Iterator[Command]:
    command = Command(
        [python, "-m", "dramatiq", "jobs", "--processes", "1", "--threads", "2"],
        {"DATABASE_URL": empty_database},
        project,
    )
    yield command
    command.remove()


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_the_wheel_holds_the_broker_its_sql_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"leasequeue"}
    shipped = {name for name in names if name.startswith("leasequeue/")}
    assert shipped == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "leasequeue").rglob("*")
        if path.suffix in (".py", ".sql", ".typed")
    }
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_nothing_of_the_application_comes_along(python: Path, project: Path, empty_database: str) -> None:
    question = (
        "import importlib.util, leasequeue; print(leasequeue.__file__); "
        f"print([name for name in {OURS_ONLY!r} if importlib.util.find_spec(name)])"
    )
    place, found = run(python, project, empty_database, "-c", question).splitlines()

    assert Path(place).is_relative_to(python.parents[1])
    assert found == "[]"


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_results_pipelines_groups_callbacks_and_limits_pass_by_dramatiqs_own_recipe(
    python: Path, project: Path, empty_database: str
) -> None:
    said = run(python, project, empty_database, "-m", "pytest", "-q", "test_jobs.py")

    assert "6 passed" in said


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_dramatiqs_command_runs_both_actors_in_processes_of_their_own(
    python: Path, project: Path, empty_database: str, workers: Command
) -> None:
    send = (
        "from jobs import charge, count_words; first, second = count_words.send('a b'), charge.send(1250); "
        "print([each.get_result(block=True, timeout=30_000) for each in (first, second)])"
    )
    assert run(python, project, empty_database, "-c", send) == "[2, 'charged 12.50']\n"

    workers.send_signal(signal.SIGTERM)
    assert workers.wait(20) == 0


@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_a_type_checker_reads_the_types_of_what_was_installed(python: Path, project: Path) -> None:
    (project / "typed.py").write_text(
        "from leasequeue import Policy\nreveal_type(Policy().lease)\nPolicy(max_retries='three')\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", "--python-executable", python, "typed.py"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert 'Revealed type is "float"' in checked.stdout.replace("builtins.", "")
    assert 'Argument "max_retries" to "Policy" has incompatible type "str"' in checked.stdout


def test_both_distributions_have_one_version_and_ask_for_the_same() -> None:
    whole, alone = (
        tomllib.loads((directory / "pyproject.toml").read_text())["project"]
        for directory in (ROOT, ROOT / "packages" / "leasequeue")
    )
    assert alone["version"] == whole["version"]
    assert alone["requires-python"] == whole["requires-python"]
    # What dramatiq-pg forbids today it may admit tomorrow; the application says by itself what it was tested with.
    asked = {each.removesuffix(",<2") for each in whole["dependencies"]}
    assert set(alone["dependencies"]) <= asked
