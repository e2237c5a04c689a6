"""Small git repositories with known contents."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_AUTHOR = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


@dataclass(frozen=True)
class Repository:
    """A work tree with a repository in it."""

    path: Path

    @property
    def url(self) -> str:
        return str(self.path)

    @classmethod
    def make(
        cls, path: Path, files: dict[str, bytes | str] | None = None, *, object_format: str = "sha1"
    ) -> Repository:
        path.mkdir(parents=True)
        repository = cls(path)
        repository.git("init", "--quiet", "--initial-branch=main", f"--object-format={object_format}")
        if files:
            repository.commit(files)
        return repository

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, input=stdin, capture_output=True, env=os.environ | _AUTHOR
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, bytes | str], message: str = "change") -> str:
        """Write files, commit everything, return the commit's id."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def commit_tree(self, entries: list[tuple[str, str, str, bytes]]) -> str:
        """Commit (mode, type, id, path) entries that no work tree could hold, and make it the head."""
        listed = b"".join(f"{mode} {kind} {oid}\t".encode() + path + b"\x00" for mode, kind, oid, path in entries)
        tree = self.git("mktree", "-z", "--missing", stdin=listed)
        sha = self.git("commit-tree", tree, "-m", "made")
        self.git("update-ref", "refs/heads/main", sha)
        return sha
