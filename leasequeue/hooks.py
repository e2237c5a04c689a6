"""dramatiq's middleware signals, calling only who listens.

dramatiq calls every hook of every middleware for every signal, most of which do nothing; at ten thousand jobs a second
that is a third of a worker's time. The order and what happens to errors are dramatiq's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq.broker import Broker
from dramatiq.middleware import Middleware, MiddlewareError

Hook = Callable[..., None]


class ListenedSignals(Broker):
    """A broker that remembers which middleware has something to do at which signal."""

    _listeners: dict[str, list[tuple[Any, Hook]]]
    _listeners_of: list[Any]

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call ``before_<signal>`` in the order of the list. A :class:`MiddlewareError` ends it, others are logged."""
        for middleware, hook in self._listening("before_" + signal):
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:  # as dramatiq: one middleware's defect must not stop the others
                self.logger.critical(
                    "middleware_failed hook=before_%s middleware=%r", signal, middleware, exc_info=True
                )

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call ``after_<signal>`` in the reverse order of the list. Errors are logged."""
        for middleware, hook in reversed(self._listening("after_" + signal)):
            try:
                hook(self, *args, **kwargs)
            except Exception:  # as dramatiq: one middleware's defect must not stop the others
                self.logger.critical("middleware_failed hook=after_%s middleware=%r", signal, middleware, exc_info=True)

    def _listening(self, name: str) -> list[tuple[Any, Hook]]:
        if self.__dict__.get("_listeners_of") != self.middleware:
            self._listeners, self._listeners_of = {}, list(self.middleware)
        listeners = self._listeners.get(name)
        if listeners is None:
            idle = getattr(Middleware, name, None)
            found = ((each, getattr(each, name)) for each in self.middleware)
            listeners = [(each, hook) for each, hook in found if getattr(hook, "__func__", hook) is not idle]
            self._listeners[name] = listeners
        return listeners
