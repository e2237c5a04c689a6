"""How each outcome is written: one statement, which finds the jobs that are still this worker's by their claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .connection import Connection
from .lease import Dead, Lease, PutBack, Retry
from .loop import CALL_TIMEOUT
from .policy import Policy
from .queries import Queries


class Endings:
    """Writes outcomes of leases, and knows nothing of when or what to do about trouble.

    Parameters:
      worker: as it is written into the history of a job.
      ring: wakes who waits for a queue.

    Each method returns the ids of the jobs that were still ours; of the others nothing was written. It raises what
    :meth:`Connection.execute` raises.
    """

    def __init__(
        self, queries: Queries, *, worker: str, policy: Policy, ring: Callable[[Connection, str], None]
    ) -> None:
        self._queries = queries
        self._worker = worker
        self._keep_done = policy.keep_done
        self._unknown_actor_window = policy.unknown_actor_window
        self._ring = ring

    def done(self, group: list[Lease], connection: Connection) -> set[str]:
        """Those that succeeded, with their results."""
        group = _ordered(group)
        has_results = any(lease.result is not None for lease in group)
        rows = connection.execute(
            self._queries["finish_done"],
            {
                **_fences(group),
                # Most jobs have none, and a list of nothing is long.
                "results": [lease.result for lease in group] if has_results else None,
                "ttls": [lease.result_ttl for lease in group] if has_results else None,
                "keep": self._keep_done,
            },
            timeout=CALL_TIMEOUT,
        )
        return {row[0] for row in rows}

    def hand_back(self, group: list[Lease], connection: Connection) -> set[str]:
        """Those that were not run: somebody else may begin them at once."""
        rows = connection.execute(self._queries["hand_back"], _fences(_ordered(group)), timeout=CALL_TIMEOUT)
        for queue_name in {lease.queue_name for lease in group}:
            self._ring(connection, queue_name)
        return {row[0] for row in rows}

    def one(self, group: list[Lease], connection: Connection) -> set[str]:
        """A retry, a death, or a job whose actor nobody knows: a group of one."""
        (lease,) = group
        statement, parameters = self._statement(lease, lease.outcome)
        rows = connection.execute(statement, parameters, timeout=CALL_TIMEOUT)
        if isinstance(lease.outcome, PutBack) and rows and rows[0][1] == "rejected":
            lease.outcome = Dead("unknown_actor", lease.outcome.error)
        return {row[0] for row in rows}

    def give_way(self, group: list[Lease], connection: Connection) -> dict[str, str]:
        """End those of which a newer job with the same key waits: its id by theirs."""
        parameters = {**_fences(_ordered(group)), "crashed": False, "keep": self._keep_done}
        return dict(connection.execute(self._queries["give_way"], parameters, timeout=CALL_TIMEOUT))

    def _statement(self, lease: Lease, outcome: object) -> tuple[str, dict[str, Any]]:
        message = lease.message.encode().decode() if lease.message is not None else None
        if isinstance(outcome, Retry):
            name = "finish_again" if outcome.error is None else "finish_retry"
            return self._queries[name], {
                **lease.fence,
                "delay": outcome.delay,
                "error": outcome.error,
                "message": message,
                "worker": self._worker,
            }
        if isinstance(outcome, Dead):
            return self._queries["finish_dead"], {
                **lease.fence,
                "reason": outcome.reason,
                "error": outcome.error,
                "errors": int(outcome.counts_as_error),
                "result": lease.result,
                "ttl": lease.result_ttl,
                "worker": self._worker,
            }
        if isinstance(outcome, PutBack):
            return self._queries["put_back"], {
                **lease.fence,
                "error": outcome.error,
                "window": self._unknown_actor_window,
            }
        raise TypeError(f"expected an outcome that is written by itself, got: {outcome!r}")


def _ordered(group: list[Lease]) -> list[Lease]:
    """A fixed order of rows: two workers that finish the same jobs do not wait for each other crosswise."""
    return sorted(group, key=lambda lease: lease.message_id)


def _fences(group: list[Lease]) -> dict[str, str]:
    """What names the claims of a group: ids and numbers as array literals, which the server reads fastest."""
    return {
        "message_ids": "{" + ",".join(lease.message_id for lease in group) + "}",
        "worker_ids": "{" + ",".join(lease.worker_id for lease in group) + "}",
        "claim_nos": "{" + ",".join(str(lease.claim_no) for lease in group) + "}",
    }
