"""Why a file has no symbols. Stored as they are: a change needs a migration."""

from __future__ import annotations

from typing import Final

# Of a path: the content was not looked at.

#: Another repository's commit.
SUBMODULE: Final = "submodule"
#: A link is not followed: it may lead anywhere.
SYMLINK: Final = "symlink"
#: More than ``Limits.max_file_bytes``.
TOO_LARGE: Final = "too_large"
#: More than ``paths.MAX_STORED_BYTES``; the stored path is cut.
PATH_TOO_LONG: Final = "path_too_long"
#: The repository does not hold the object: a partial clone, or a damaged one.
MISSING: Final = "missing"

# Of a content.

#: Not text: a NUL byte near its beginning.
BINARY: Final = "binary"
#: More CPU time than ``Limits.parse_seconds``, or a parser that hung.
PARSE_TIMEOUT: Final = "parse_timeout"
#: More memory than ``Limits.parse_memory_bytes``.
PARSE_MEMORY: Final = "parse_memory"
#: The parser died of it, twice.
PARSE_CRASHED: Final = "parse_crashed"
#: More than ``Limits.max_symbols_per_file``.
TOO_MANY_SYMBOLS: Final = "too_many_symbols"
