"""``git diff-tree`` as a process that stays: what it has said is read at once, and nobody waits for its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from indexing import git
from indexing.talk import Talk

_ARGUMENTS: Final = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--full-index")

#: Changes of more bytes than this are too many, however few they are: they are in memory together.
_MOST_BYTES: Final = 4 << 20

#: A line that is no question is repeated: so the answers before it are known to be whole.
_END: Final = b"end\n"


class Change(NamedTuple):
    """A path that differs, and what is there now. ``status`` is ``A``, ``D``, or another letter for both."""

    mode: bytes
    oid: bytes
    status: bytes
    path: bytes


class _TooMany(Exception):
    pass


class DiffTree(Talk):
    """Tells what differs between two trees."""

    def __init__(self, environment: Mapping[str, str], timeout_seconds: float) -> None:
        super().__init__(_ARGUMENTS, environment, timeout_seconds)

    def changes(self, before: str, after: str, most: int, on_wait: Callable[[], None]) -> list[Change] | None:
        """The paths that differ between two trees, by the trees' ids; None when they are more than ``most``.

        Calls ``on_wait`` several times a second; it may raise to stop. GitFailed when a tree is not here,
        TransientIndexError after the time limit, GitUnavailable.
        """
        answer = _Answer(f"{before} {after}\n".encode(), most)
        try:
            self.ask(answer.question + _END, answer.take, on_wait)
        except _TooMany:
            return None
        return answer.changes


class _Answer:
    """The question, a line; of each path ``:MODE MODE ID ID STATUS NUL PATH NUL``; ``_END``."""

    def __init__(self, question: bytes, most: int) -> None:
        self.question = question
        self.changes: list[Change] = []
        self._most = most
        self._has_begun = False

    def take(self, unread: bytearray) -> int:
        if len(unread) > _MOST_BYTES:
            raise _TooMany
        if not self._has_begun:
            if not unread.startswith(self.question):
                # Of a tree that is missing it says nothing.
                if unread.startswith(_END):
                    raise git.GitFailed("diff-tree", 0, "a tree is missing")
                return 1
            del unread[: len(self.question)]
            self._has_begun = True
        *fields, rest = unread.split(b"\0")
        whole = len(fields) // 2 * 2
        for head, path in zip(fields[0:whole:2], fields[1:whole:2], strict=True):
            _before, mode, _old, oid, status = bytes(head).split(b" ")
            self.changes.append(Change(mode, oid, status[:1], bytes(path)))
        if len(self.changes) > self._most:
            raise _TooMany
        if whole == len(fields) and rest == _END:
            return 0
        del unread[: sum(len(field) + 1 for field in fields[:whole])]
        return 1
