"""Results as part of the job: written by the statement that finishes it, read from the row of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dramatiq.encoder import Encoder
from dramatiq.results import ResultBackend
from dramatiq.results.backend import Missing
from dramatiq.results.result import wrap_exception, wrap_result

from .lease import LeasedMessage, readable

if TYPE_CHECKING:
    from .broker import LeaseBroker

#: Seconds that a call for or with a result may take.
CALL_TIMEOUT = 5.0


class LeaseBackend(ResultBackend):
    """A dramatiq result backend on the queue's own tables. Results are whatever ``jsonb`` takes."""

    def __init__(self, broker: LeaseBroker, *, encoder: Encoder | None = None) -> None:
        super().__init__(encoder=encoder)
        self._broker = broker

    def build_message_key(self, message: Any) -> str:
        return str(message.message_id)

    def store_result(self, message: Any, result: Any, ttl: int) -> None:
        """Keep a result for ``ttl`` milliseconds, with the job it belongs to when that is being run here."""
        if isinstance(message, LeasedMessage):
            self._attach(message, wrap_result(result), ttl)
        else:
            super().store_result(message, result, ttl)

    def store_exception(self, message: Any, exception: Exception, ttl: int) -> None:
        """Keep a job's exception for ``ttl`` milliseconds, so that asking for its result raises it."""
        if isinstance(message, LeasedMessage):
            if message.lease.result is None:
                wrapped = wrap_exception(exception)
                wrapped["exn"]["msg"] = readable(wrapped["exn"]["msg"])
                self._attach(message, wrapped, ttl)
        else:
            super().store_exception(message, exception, ttl)

    def _attach(self, message: LeasedMessage, result: Any, ttl: int) -> None:
        message.lease.result = self.encoder.encode(result).decode()
        message.lease.result_ttl = ttl / 1000

    def _get(self, message_key: str) -> Any:
        rows = self._broker.ask("get_result", {"message_id": message_key}, timeout=CALL_TIMEOUT)
        return self.encoder.decode(rows[0][0].encode()) if rows and rows[0][0] is not None else Missing

    def _store(self, message_key: str, result: Any, ttl: int) -> None:
        parameters = {
            "message_id": message_key,
            "result": self.encoder.encode(result).decode(),
            "ttl": ttl / 1000,
        }
        self._broker.ask("store_result", parameters, timeout=CALL_TIMEOUT)
