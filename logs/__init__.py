"""How this product logs: one line per event, as JSON or for a terminal, the job it is about bound to each line."""

from .lines import bind, configure, set_level, unbind
from .middleware import LoggedJobs, StructuredLogs
from .secrets import secrets_of

__all__ = ["LoggedJobs", "StructuredLogs", "bind", "configure", "secrets_of", "set_level", "unbind"]
