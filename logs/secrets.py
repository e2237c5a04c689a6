"""What must not be read in any log line, whoever writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from structlog.typing import EventDict, WrappedLogger

#: Characters of one value: an error text is kept whole in the database, not in the log.
VALUE_LIMIT = 4_000

#: Shorter secrets are parts of ordinary words.
SECRET_LENGTH = 4

MASK = "***"

#: Where secrets stand that we have never seen: in URLs, in parameters, in headers, and tokens that tell what they are.
#: Repetitions are bounded: a text of megabytes must not cost a minute.
_SECRETS = (
    (re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,20}://)[^\s/]{0,1000}@"), rf"\1{MASK}@"),
    (
        re.compile(r"(?i)\b((?:access_|private_)?token|password|passwd|secret|api_?key)(=|: ?)[^\s&,;'\"]+"),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)\b(authorization: ?(?:basic|bearer) )\S+"), rf"\1{MASK}"),
    (re.compile(r"\b(gh[pousr]_|github_pat_|glpat-|xox[abp]-)[A-Za-z0-9_-]{10,}"), rf"\1{MASK}"),
)


def secrets_of(setting: str) -> tuple[str, ...]:
    """What is secret in a setting: the password of a URL, as it stands there and as it is meant; else ``HOST=TOKEN``'s
    token, or a token by itself."""
    _, is_url, rest = setting.partition("://")
    if not is_url:
        return (setting, setting.partition("=")[2])
    password = rest.rpartition("@")[0].partition(":")[2]
    return (password, unquote(password))


class Masker:
    """Takes secrets out of every text of a line, the traceback included, and cuts what is endless."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        known = {secret for secret in secrets if secret and len(secret) >= SECRET_LENGTH}
        self._known = sorted(known, key=len, reverse=True)

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        return {key: self._clean(value) for key, value in line.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        for secret in self._known:
            text = text.replace(secret, MASK)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        if len(text) > VALUE_LIMIT:
            text = f"{text[: VALUE_LIMIT // 2]} [...] {text[-VALUE_LIMIT // 2 :]}"
        return text
