"""The environment is made once, and anew only when something it depends on has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bootstrap as bootstrap_module
import pytest
from bootstrap import BootstrapError, bootstrap

SCRIPTS = Path(bootstrap_module.__file__).parent

#: A user without rights.
NOBODY = 65534

#: One that such a user may run, too.
SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Counts what pip would do; the rest is real. Downloads are for the test of the whole start."""
    done: list[Path] = []
    monkeypatch.setattr(bootstrap_module, "_install", lambda root, environment: done.append(environment))
    return done


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "a checkout"
    directory.mkdir()
    for name in bootstrap_module.INPUTS:
        (directory / name).write_text(f"# {name}\n")
    return directory


def test_is_done_once_until_an_input_changes(root: Path, installs: list[Path]) -> None:
    bootstrap(root)
    made = (root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    bootstrap(root)
    assert len(installs) == 1

    (root / "constraints.txt").write_text("changed\n")
    bootstrap(root)
    bootstrap(root)

    assert len(installs) == 2
    assert (root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made


def test_is_done_again_after_an_interruption(root: Path, installs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(root: Path, environment: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap_module, "_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap(root)

    bootstrap(root)

    assert len(installs) == 1


def test_an_environment_that_was_moved_or_broken_is_made_anew(root: Path, installs: list[Path]) -> None:
    bootstrap(root)
    moved = root.with_name("moved")
    shutil.move(root, moved)

    bootstrap(moved)
    assert str(moved) in (moved / ".venv" / "bin" / "activate").read_text()

    (moved / ".venv" / "bin" / "python").unlink()
    bootstrap(moved)
    assert (moved / ".venv" / "bin" / "python").exists()
    assert len(installs) == 3


def test_a_failing_pip_is_one_line_and_tried_again_next_time(root: Path) -> None:
    (root / "pyproject.toml").write_text("this is not toml")

    for _ in range(2):
        with pytest.raises(BootstrapError, match="expected pip to install the dependencies, but it failed"):
            bootstrap(root)


def test_a_full_disk_is_one_line_before_anything_is_installed(
    root: Path, installs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap_module, "ROOM", 2**62)

    with pytest.raises(BootstrapError, match=r"^expected \d+ MB free on the disk of .* got: \d+ MB; make room"):
        bootstrap(root)

    assert installs == []
    assert not (root / ".venv").exists()


@pytest.mark.parametrize(
    ("index", "line"),
    [
        ("http://127.0.0.1:1/", "expected to reach the package index, but there was no connection; go online"),
        ("{empty}", "expected a package index with all packages, but it has none of one; go online"),
    ],
)
def test_offline_is_one_line(
    root: Path, index: str, line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    (root / "pyproject.toml").write_text(project)
    (root / "empty").mkdir()
    # No setting of this machine's pip, and few tries: the answer would be the same later.
    for name, value in {"CONFIG_FILE": os.devnull, "INDEX_URL": index, "RETRIES": "1", "TIMEOUT": "2"}.items():
        monkeypatch.setenv(f"PIP_{name}", value.format(empty=(root / "empty").as_uri()))

    with pytest.raises(BootstrapError, match=f"^{line}"):
        bootstrap(root)

    assert capfd.readouterr().err.splitlines() == ["Installing dependencies into .venv (only when they changed) ..."]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts alone, in a checkout of their own, and a directory of programs that a test may choose."""
    scripts = tmp_path / "a checkout" / "scripts"
    scripts.mkdir(parents=True)
    for name in ("bootstrap.sh", "bootstrap.py", "dev-start.sh"):
        shutil.copy(SCRIPTS / name, scripts)
    (tmp_path / "programs").mkdir()
    for name in ("bash", "dirname", "uname", "env"):
        (tmp_path / "programs" / name).symlink_to(shutil.which(name) or "")
    return scripts.parent


def start(checkout: Path, *, user: int | None = None, **programs: str) -> subprocess.CompletedProcess[str]:
    directory = checkout.parent / "programs"
    for name, text in programs.items():
        file = directory / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return subprocess.run(
        [checkout / "scripts" / "dev-start.sh"],
        env={"PATH": str(directory)},
        user=user,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def everybody_may_enter(checkout: Path) -> Iterator[tuple[Path, int | None]]:
    """The checkout, where root is this test's user in a place that nobody can see; and as whom to go there."""
    if os.geteuid() != 0:
        yield checkout, None
        return
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        for part in (checkout, checkout.parent / "programs"):
            shutil.copytree(part, Path(directory) / part.name, symlinks=True)
        yield Path(directory) / checkout.name, NOBODY


class TestFirstHourErrors:
    def expect(self, answer: subprocess.CompletedProcess[str], line: str) -> None:
        assert answer.returncode == 1
        (said,) = answer.stderr.splitlines()
        assert line in said

    def test_no_git(self, checkout: Path) -> None:
        self.expect(start(checkout), "dev-start.sh: expected git, found none; install it")

    def test_no_python(self, checkout: Path) -> None:
        self.expect(start(checkout, git="exit 0"), "expected Python 3.11 or newer")

    def test_an_old_python(self, checkout: Path) -> None:
        old = 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'
        self.expect(start(checkout, git="exit 0", python3=old), "or newer, found: Python 3.9.2; install it")

    def test_windows(self, checkout: Path) -> None:
        self.expect(start(checkout, uname="echo MINGW64_NT-10.0"), "on Windows run it inside WSL 2")

    def test_no_venv_module(self, checkout: Path) -> None:
        for name in bootstrap_module.INPUTS:
            (checkout / name).touch()
        (checkout / "without").mkdir()
        (checkout / "without" / "ensurepip.py").write_text("raise ImportError")
        python = f'PYTHONPATH="{checkout}/without" exec "{sys.executable}" "$@"'

        self.expect(start(checkout, git="exit 0", python3=python), "with its venv module, found none; install it")

    @pytest.mark.skipif(os.geteuid() == 0 and not SYSTEM_PYTHON.exists(), reason="root may write everywhere")
    def test_a_read_only_checkout(self, checkout: Path) -> None:
        checkout.chmod(0o555)
        with everybody_may_enter(checkout) as (place, user):
            python = f'exec "{sys.executable if user is None else SYSTEM_PYTHON}" "$@"'
            answer = start(place, user=user, git="exit 0", python3=python)

        self.expect(answer, "use a checkout of your own that is not read-only")
