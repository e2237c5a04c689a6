"""Keeps what this worker holds alive, takes over from workers that died, and removes what nobody will look up again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .alarm import Alarm
from .connection import CONNECT_TIMEOUT, Connection, Row
from .errors import AlreadyQueued
from .lease import Death, HandBack, Lease
from .loop import BACKOFF_OVERLOAD, CALL_TIMEOUT, Loop
from .policy import MINUTE, Policy
from .queries import Queries
from .retention import Retention
from .ticker import Ticker

if TYPE_CHECKING:
    from .session import WorkerSession

#: Heartbeats that a worker whose session has ended may miss before it is judged dead. It notices the end at once, and
#: makes a new session within a fraction of a heartbeat where the database lets it.
MISSED_BEFORE_JUDGED = 1.5

#: Seconds in which everybody is surely back after an outage for all: the connection that was being made when it ended
#: fails, then comes the longest pause.
COMEBACK_TIME = CONNECT_TIMEOUT + BACKOFF_OVERLOAD

#: Seconds between two looks for what is past its time, and jobs that expire by one statement.
HOUSEKEEPING_EVERY = 1 * MINUTE
HOUSEKEEPING_BITE = 1_000

#: Jobs rescued by one statement at the most; more than that many come with the next.
RESCUE_BITE = 1_000


class Keeper(Loop):
    """Heartbeat, rescue and housekeeping: one session, one round a heartbeat."""

    role = "keep"

    def __init__(
        self,
        session: WorkerSession,
        queries: Queries,
        *,
        url: str,
        policy: Policy,
        tell: Callable[[Death], None],
    ) -> None:
        super().__init__(url, session.label)
        self._session = session
        self._queries = queries
        self._policy = policy
        self._tell = tell
        self._grace = MISSED_BEFORE_JUDGED * policy.heartbeat
        self._comeback = self._grace + COMEBACK_TIME
        #: Since when this worker hears of the others (monotonic seconds), and how long it gives those who were heard of
        #: last before that: who was out of touch itself lets everybody come back first.
        self._in_touch_since = time.monotonic()
        self._patience = self._grace
        self._housekeeping_at = time.monotonic() + HOUSEKEEPING_EVERY
        self._ticker = Ticker(queries, policy)
        self._retention = Retention(queries, policy)
        self._tick_is_due = False
        self._suspects: set[tuple[str, int]] = set()
        self._alarm = Alarm()

    def register(self) -> None:
        """Announce this worker. Called before the first claim, on the thread that boots the worker.

        Raises what a broken database raises: a worker that cannot register must not start.
        """
        self._announce(self.connection())
        self._patience = self._grace  # a boot is no outage

    def wake(self) -> None:
        self._alarm.ring()

    def greet(self, connection: Connection) -> None:
        self._was_out_of_touch()

    def _was_out_of_touch(self) -> None:
        self._in_touch_since = time.monotonic()
        self._patience = self._comeback

    def round(self) -> None:
        connection = self.connection()
        somebody_is_late = self._beat(connection)
        if not self._session.closing:
            if somebody_is_late:
                self._rescue(connection)
            self._keep_house(connection)
            self._retention.work(connection)
            if self._tick_is_due and self._ticker.tick(connection):
                self._session.look_again()
        else:
            # Each round: below Python 3.13 a consumer whose thread was held up at the wrong moment waits at its buffer
            # without a time limit, and would never see that it is to end.
            self._session.held.wake_consumers()
        # The end of the session ends the wait: we come back before anybody judges us.
        connection.wait(self._alarm.fileno(), self._policy.heartbeat)
        self._alarm.clear()

    def finish(self) -> None:
        connection = self.connection()
        connection.execute(self._queries["deregister"], {"worker_id": self._session.worker_id}, timeout=CALL_TIMEOUT)
        self._alarm.close()

    def _announce(self, connection: Connection) -> None:
        connection.execute(
            self._queries["register"],
            {
                "worker_id": self._session.worker_id,
                "host": self._session.host,
                "pid": self._session.pid,
                "threads": self._session.threads,
                "queues": self._session.held.queue_names(),
                "backend_pid": connection.backend_pid,
            },
            timeout=CALL_TIMEOUT,
        )

    # Heartbeat.

    def _beat(self, connection: Connection) -> bool:
        """Says that we live, and looks what we hold. Returns whether somebody else may be dead."""
        newest = self._session.newest_claim  # before we ask: what is claimed meanwhile is not told here
        held_before = self._session.held.leases()
        ((silent_seconds, somebody_is_late, ids, claims, self._tick_is_due),) = connection.execute(
            self._queries["heartbeat"],
            {
                "worker_id": self._session.worker_id,
                "grace": self._grace,
                "backend_pid": connection.backend_pid,
                "queues": self._session.held.queue_names(),
                "draining": self._session.closing,
                **self._session.vital_signs(),
                "oldest": min([lease.claim_no for lease in held_before] + [self._session.oldest_unanswered_claim]),
            },
            timeout=CALL_TIMEOUT,
        )
        held = set(zip(ids, claims, strict=True))
        for lease in held_before:
            if (lease.message_id, lease.claim_no) not in held and lease.outcome is None and not lease.lost:
                self._session.lose(lease)
        if silent_seconds is None:
            self._log.error(
                "worker_renamed: it was presumed dead and its jobs were given to others; it goes on under a new name"
            )
            self._session.begin_again()
            self._announce(connection)
            self._was_out_of_touch()
            self._suspects.clear()
            return False
        if silent_seconds > self._grace:
            self._was_out_of_touch()  # frozen, or cut off
        self._return_phantoms(held, newest)
        return bool(somebody_is_late)

    def _return_phantoms(self, held: set[tuple[str, int]], newest: int) -> None:
        """Hand back jobs that the database counts as ours and that we never heard of: an answer was lost on its way."""
        known = {(lease.message_id, lease.claim_no) for lease in self._session.held.leases()}
        unknown = {key for key in held - known if key[1] < newest}
        for message_id, claim_no in unknown & self._suspects:
            self._log.warning("phantom_returned job_id=%s: it was claimed but its claim was never answered", message_id)
            lease = Lease(message_id, "", self._session.worker_id, claim_no, outcome=HandBack())
            self._session.settle_unknown(lease)
        self._suspects = unknown - self._suspects

    # Rescue.

    def _rescue(self, connection: Connection) -> None:
        """Take over from the dead."""
        parameters = {
            "worker_id": self._session.worker_id,
            "lease": self._policy.lease,
            "grace": self._grace,
            "comeback": self._comeback,
            "in_touch": time.monotonic() - self._in_touch_since,
            "comeback_of_judge": self._patience,
        }
        for worker_id, death in connection.execute(self._queries["judge"], parameters, timeout=CALL_TIMEOUT):
            self._log.warning("worker_presumed_dead worker=%s: %s", worker_id, death)
        dead = connection.execute(self._queries["dead_workers"], {}, timeout=CALL_TIMEOUT)
        if not dead:
            return
        rescued = self._take_over(connection, dead, keyed=False)
        # One by one: who waits for a key must hold nothing that others wait for.
        while rescued < RESCUE_BITE and (one := self._take_over(connection, dead, keyed=True)):
            rescued += one
        self._give_way(connection, dead)

    def _take_over(self, connection: Connection, dead: list[Row], *, keyed: bool) -> int:
        """Make jobs of the dead due again, or dead. Returns how many."""
        parameters = {
            "dead": [worker_id for worker_id, _, _, _ in dead],
            "workers": [f"pid {pid} on {host}" for _, host, pid, _ in dead],
            "deaths": [self._what_happened(host, pid, death) for _, host, pid, death in dead],
            "crash_limit": self._policy.crash_limit,
            "keyed": keyed,
            "limit": 1 if keyed else RESCUE_BITE,
        }
        try:
            rescued = connection.execute(self._queries["rescue"], parameters, timeout=CALL_TIMEOUT)
        except AlreadyQueued:
            return 0  # a newer job with the key came at this moment: this one gives way
        for message_id, queue_name, state, crashes, worker_id, error in rescued:
            self._log.warning(
                "job_rescued job_id=%s queue=%s state=%s crashes=%s worker=%s",
                message_id,
                queue_name,
                "dead" if state == "rejected" else "ready",
                crashes,
                worker_id,
            )
            if state == "rejected":
                self._tell(Death(message_id, queue_name, "crashed", error))
        if rescued:
            self._session.rescued += len(rescued)
            self._session.look_again()
        return len(rescued)

    def _give_way(self, connection: Connection, dead: list[Row]) -> None:
        """End the jobs of the dead of which a newer one with the same key waits."""
        parameters = {"dead": [worker_id for worker_id, _, _, _ in dead], "limit": RESCUE_BITE}
        for message_id, queue_name, worker_id, claim_no in connection.execute(
            self._queries["superseded"], parameters, timeout=CALL_TIMEOUT
        ):
            one = {
                "message_ids": [message_id],
                "worker_ids": [worker_id],
                "claim_nos": [claim_no],
                "crashed": True,
                "keep": self._policy.keep_done,
            }
            for _, newer in connection.execute(self._queries["give_way"], one, timeout=CALL_TIMEOUT):
                self._log.info(
                    "job_superseded job_id=%s queue=%s by=%s: a newer job with its key waits",
                    message_id,
                    queue_name,
                    newer,
                )

    def _what_happened(self, host: str, pid: int, death: str | None) -> str:
        """The death of a worker in words. Who runs on its machine also sees whether its process is there."""
        text = f"its worker (pid {pid} on {host}) died or stopped answering: {death or 'it was judged dead'}"
        if host != self._session.host:
            return text
        return f"{text}, and its process is {'still there' if _is_alive(pid) else 'gone (killed, or crashed)'}"

    # Housekeeping.

    def _keep_house(self, connection: Connection) -> None:
        if time.monotonic() < self._housekeeping_at:
            return
        for (worker_id,) in connection.execute(self._queries["adopt_orphans"], {}, timeout=CALL_TIMEOUT):
            self._log.warning("orphans_adopted worker=%s: its jobs will be run again", worker_id)
        # Also of queues that no worker serves.
        queues = [name for (name,) in connection.execute(self._queries["queue_names"], {}, timeout=CALL_TIMEOUT)]
        expired = connection.execute(
            self._queries["expire"], {"queues": queues, "limit": HOUSEKEEPING_BITE}, timeout=CALL_TIMEOUT
        )
        for message_id, queue_name, error in expired:
            self._log.warning("job_expired job_id=%s queue=%s", message_id, queue_name)
            self._tell(Death(message_id, queue_name, "expired", error))
        # A full bite: there is more, come back with the next heartbeat.
        full = len(expired) >= HOUSEKEEPING_BITE
        self._housekeeping_at = time.monotonic() + (0.0 if full else HOUSEKEEPING_EVERY)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
