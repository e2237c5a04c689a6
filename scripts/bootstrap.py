"""Makes `.venv` and installs what `constraints.txt` and `pyproject.toml` ask for; nothing when that is done already.

Runs under the machine's own Python, with the standard library only. Safe twice at once, and after an interruption:
the stamp that says "done" is written last.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: What an installation depends on besides the Python that made it and the place where it lies.
INPUTS = ("constraints.txt", "pyproject.toml")

#: Seconds for everything to be downloaded and installed. Half a minute is usual.
INSTALL_SECONDS = 900


#: Bytes that must be free before anything is installed: an environment takes 260 MB, and as much again on the way.
ROOM = 600 * 1024**2

#: What pip says, and what to do about it. First match counts; for anything else its own words are shown.
PIP_TROUBLES = (
    (("No space left on device", "Disk quota exceeded"), "room on the disk, it is full; make room and run again"),
    (
        ("NewConnectionError", "name resolution", "Network is unreachable", "ConnectTimeoutError", "ProxyError"),
        "to reach the package index, but there was no connection; go online (or set HTTPS_PROXY) and run again",
    ),
    (
        ("(from versions: none)",),
        "a package index with all packages, but it has none of one; go online, or see: pip config list",
    ),
)


class BootstrapError(Exception):
    """The environment cannot be made; the message says what to do."""


def bootstrap(root: Path) -> None:
    """Make or update `root/.venv`. Raises BootstrapError."""
    with _one_at_a_time(root):
        environment = root / ".venv"
        stamp = environment / "installed"
        wanted = _fingerprint(root)
        if _read(stamp) == wanted and _works(environment):
            return
        _expect_room(root)
        stamp.unlink(missing_ok=True)
        if not _works(environment):
            _make(environment)
        print("Installing dependencies into .venv (only when they changed) ...", file=sys.stderr, flush=True)
        _install(root, environment)
        fresh = stamp.with_suffix(".new")
        fresh.write_text(wanted)
        fresh.replace(stamp)


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    try:
        (root / ".local").mkdir(exist_ok=True)
        lock = (root / ".local" / "bootstrap.lock").open("a")
    except OSError as error:
        raise BootstrapError(
            f"expected to write in {root}, got: {error.strerror}; use a checkout of your own that is not read-only"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint(root: Path) -> str:
    """Changes with the inputs, the Python, and the place: scripts in an environment name their interpreter's path."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {root}".encode())
    for name in INPUTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


def _works(environment: Path) -> bool:
    """Whether it is whole, made by this version of Python, and not moved here from elsewhere."""
    question = "import sys, pip; print(sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [environment / "bin" / "python", "-c", question], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    activate = _read(environment / "bin" / "activate") or ""
    return answer.stdout.strip() == str(sys.version_info[:2]) and str(environment) in activate


def _make(environment: Path) -> None:
    try:
        import ensurepip  # noqa: F401 - Debian ships venv without it, and fails late and at length
        import venv  # noqa: F401
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        raise BootstrapError(
            f"expected Python {version} with its venv module, found none; install it "
            f"(Debian, Ubuntu: apt install python{version}-venv)"
        ) from None
    answer = subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=False)
    if answer.returncode != 0:
        raise BootstrapError(f"expected to make {environment}, but python -m venv failed; see above")


def _expect_room(root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < ROOM:
        wanted = f"{ROOM // 1024**2} MB free on the disk of {root}"
        raise BootstrapError(f"expected {wanted}, got: {free // 1024**2} MB; make room and run again")


def _install(root: Path, environment: Path) -> None:
    command: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--constraint", root / "constraints.txt", "--editable", ".[dev]"]
    # A user's PYTHONPATH or target directory would put packages, or find them, outside of the environment.
    foreign = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    kept = {key: value for key, value in os.environ.items() if key not in foreign}
    try:
        answer = subprocess.run(
            command, cwd=root, env=kept, timeout=INSTALL_SECONDS, check=False, stderr=subprocess.PIPE, text=True
        )
    except subprocess.TimeoutExpired:
        raise BootstrapError(
            f"expected the installation to end within {INSTALL_SECONDS} s, it did not; check the network, run again"
        ) from None
    if answer.returncode == 0:
        return
    for signs, trouble in PIP_TROUBLES:
        if any(sign in answer.stderr for sign in signs):
            raise BootstrapError(f"expected {trouble}")
    print(answer.stderr, file=sys.stderr, end="", flush=True)
    raise BootstrapError("expected pip to install the dependencies, but it failed; see above, repair that, run again")


def main() -> int:
    try:
        bootstrap(ROOT)
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
