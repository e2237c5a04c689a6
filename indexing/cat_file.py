"""``git cat-file`` as a process that stays: it keeps what it has unpacked, and contents are stored as differences from
each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from indexing import git
from indexing.talk import Talk

#: However large a repository is, so much of its packs is in memory, and of what it has unpacked for later.
_LITTLE_MEMORY: Final = (
    *("-c", "core.packedGitWindowSize=1m"),
    *("-c", "core.packedGitLimit=16m"),
    *("-c", "core.deltaBaseCacheLimit=16m"),
)

#: An id, a type and a size are far below this, in bytes.
_MAX_HEAD_BYTES: Final = 512

Option = Literal["--batch-command", "--batch", "--batch-check"]


class Answer(NamedTuple):
    """What git says of an object. ``content`` is empty where it was not asked for."""

    oid: str
    kind: bytes
    size_bytes: int
    content: bytes = b""


class Died(Exception):
    """git has ended before it had answered all; ``answers`` are the ones it gave, ``failure`` says why it ended."""

    def __init__(self, answers: list[Answer | None], failure: git.GitFailed) -> None:
        super().__init__(str(failure))
        self.answers = answers
        self.failure = failure


class CatFile(Talk):
    """``option``: ``--batch-command`` for all questions; for a git that does not know it ``--batch`` for contents and
    ``--batch-check`` for the others. What it has written and not read does not grow with the repository."""

    def __init__(self, option: Option, environment: Mapping[str, str], timeout_seconds: float) -> None:
        super().__init__((*_LITTLE_MEMORY, "cat-file", option), environment, timeout_seconds)
        self._has_commands = option == "--batch-command"

    def info(self, names: Sequence[str], on_wait: Callable[[], None]) -> list[Answer | None]:
        """Id, type and size of each, as ``contents``."""
        return self._answers("info", names, on_wait)

    def contents(self, names: Sequence[str], on_wait: Callable[[], None]) -> list[Answer | None]:
        """An answer for each name, in order; None for what is not there. All are in memory together.

        Calls ``on_wait`` several times a second; it may raise to stop. Died, TransientIndexError after the time limit,
        GitUnavailable.
        """
        return self._answers("contents", names, on_wait)

    def _answers(
        self, what: Literal["info", "contents"], names: Sequence[str], on_wait: Callable[[], None]
    ) -> list[Answer | None]:
        if not names:
            return []
        answers: list[Answer | None] = []

        def take(unread: bytearray) -> int:
            _take(unread, answers, has_contents=what == "contents")
            return len(names) - len(answers)

        command = f"{what} " if self._has_commands else ""
        try:
            self.ask("".join([f"{command}{name}\n" for name in names]).encode(), take, on_wait)
        except git.GitFailed as failure:
            raise Died(answers, failure) from None
        return answers


def _take(unread: bytearray, answers: list[Answer | None], *, has_contents: bool) -> None:
    """Take the answers that are whole: ``ID TYPE SIZE``, a line end, the content, a line end."""
    at = 0
    with memoryview(unread) as view:
        while (line_end := unread.find(b"\n", at, at + _MAX_HEAD_BYTES)) >= 0:
            head = view[at:line_end].tobytes().split(b" ")
            if len(head) != 3:
                # Missing, ambiguous, or nothing that can be read.
                answers.append(None)
                at = line_end + 1
                continue
            start, size = line_end + 1, int(head[2])
            end = start + size if has_contents else start
            if has_contents and end >= len(unread):
                break
            answers.append(Answer(head[0].decode(), head[1], size, view[start:end].tobytes()))
            at = end + has_contents
    del unread[:at]
