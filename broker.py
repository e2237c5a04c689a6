"""The one broker of the product, put together from the settings. This is where middleware is listed.

Importing it reads the settings and opens no connection. Everything that sends or runs jobs imports it once::

    from broker import broker
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dramatiq
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker

import logs
from leasequeue import LeaseBroker, LeaseTracking, MachineSlots, Policy
from leasequeue.admin import Admin
from logs import LoggedJobs, StructuredLogs
from settings import Settings, SettingsError, load_settings
from traces import add_tracing

log = logging.getLogger("indexq")

#: Arguments of a job that stand on each of its log lines.
LOGGED_ARGUMENTS = ("index_job_id", "repository_id")

#: Seconds in a day, and in an hour.
DAY, HOUR = 86_400.0, 3_600.0


def policy_of(settings: Settings) -> Policy:
    """The queue's policy as the settings have it."""
    return Policy(
        max_retries=settings.retry_limit,
        min_backoff=settings.retry_delay,
        max_backoff=settings.retry_max_delay,
        crash_limit=settings.crash_limit,
        unknown_actor_window=settings.unknown_actor_window,
        expire_after=settings.expire_in_hours * HOUR,
        time_limit=settings.job_time_limit,
        keep_done=settings.archive_completed_after,
        keep_dead=settings.dead_retention_days * DAY or None,
        lease=settings.lease_seconds,
        heartbeat=settings.heartbeat_seconds,
        drain=settings.drain_seconds,
        poll_interval=settings.poll_interval,
        enqueue_timeout=settings.enqueue_timeout,
        max_message_bytes=settings.max_message_bytes,
        stuck_after=settings.loop_stuck_seconds,
    )


def runtime_directory(settings: Settings) -> Path:
    """What the processes of this user that work for this queue share on this machine: slots, and how each one is."""
    queue = hashlib.sha256(f"{settings.supabase_db_url} {settings.queue_schema}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"indexq-{os.getuid()}" / queue


def slots_of(settings: Settings) -> MachineSlots:
    """WORKER_TEAM_SIZE jobs at once on this machine, for all processes of this user that work for this queue."""
    return MachineSlots(runtime_directory(settings), settings.worker_team_size)


class Announcements(Middleware):
    """Tells the log when this process begins to take jobs and when it has stopped."""

    def after_worker_boot(self, broker: LeaseBroker, worker: Worker) -> None:
        log.info("Job queue started")
        if not broker.is_claiming:
            log.warning("queue_disabled: QUEUE_ENABLED is off: this worker starts no jobs; they are accepted and kept")

    def after_worker_shutdown(self, broker: LeaseBroker, worker: Worker) -> None:
        log.info("Job queue stopped")


class HealthBesideWorkers(Middleware):
    """Has ``dramatiq actors`` serve the health application in a fork of its master, when HEALTH_PORT is set."""

    def __init__(self, port: int | None) -> None:
        self._port = port

    @property
    def forks(self) -> list[Callable[[], int]]:
        if self._port is None:
            return []
        import health_app  # here: it imports this module

        return [health_app.serve_beside_workers]


def make_broker(settings: Settings) -> LeaseBroker:
    """A broker for these settings. Opens no connection.

    With BROKER_URL it is a :class:`rabbit_broker.RabbitBroker`, whatever its type says here: actors run on both, and
    what is asked of it that only Postgres can do is refused with a SettingsError.
    """
    made = _on_rabbitmq(settings) if settings.broker_url else _on_postgres(settings)
    for middleware in (
        StructuredLogs(lambda: configure_logs(settings)),
        Announcements(),
        HealthBesideWorkers(settings.health_port),
    ):
        made.add_middleware(middleware)  # type: ignore[no-untyped-call]
    return made


def _on_postgres(settings: Settings) -> LeaseBroker:
    made = LeaseBroker(
        url=settings.supabase_db_url,
        schema=settings.queue_schema,
        policy=policy_of(settings),
        slots=slots_of(settings),
        facts_directory=runtime_directory(settings) / "processes",
        direct_url=settings.supabase_db_direct_url or None,
        is_claiming=settings.queue_enabled,
    )
    made.add_middleware(LoggedJobs(LOGGED_ARGUMENTS), after=LeaseTracking)  # type: ignore[no-untyped-call]
    if settings.tracing:
        add_tracing(made)
    return made


def _on_rabbitmq(settings: Settings) -> LeaseBroker:
    try:
        from rabbit_broker import RabbitBroker
    except ModuleNotFoundError as error:
        if error.name != "pika":
            raise
        problem = f"expected BROKER_URL to find pika, got: {error}; install it: pip install 'indexq[rabbitmq]'"
        raise SettingsError([problem]) from None
    try:
        made = RabbitBroker(url=settings.broker_url, policy=policy_of(settings))
    except ValueError:  # its text may hold the URL: a port, or a parameter behind a question mark
        problem = (
            "expected BROKER_URL to be a URL that pika can read, got: another one (not shown); correct port or query"
        )
        raise SettingsError([problem]) from None
    first = type(made.middleware[0])
    made.add_middleware(LoggedJobs(LOGGED_ARGUMENTS), before=first)  # type: ignore[no-untyped-call]
    return cast(LeaseBroker, made)


def configure_logs(settings: Settings) -> None:
    """Let the lines of this process leave in the product's form. For processes that are ours alone, not for an API."""
    secrets = [secret for value in settings.secret_values() for secret in logs.secrets_of(value)]
    logs.configure(settings.log_format, level=settings.log_level, secrets=secrets)


settings = load_settings()
logs.set_level(settings.log_level)
broker = make_broker(settings)
dramatiq.set_broker(broker)


def start_queue() -> None:
    """Make the queue ready for ``send()``: its schema is created or upgraded. For an API process at its start.

    With BROKER_URL: RabbitMQ can be reached. Raises what :meth:`LeaseBroker.migrate` raises, or SettingsError, so that
    a process without a queue does not begin to serve.
    """
    broker.migrate()
    log.info("Job queue started")


def stop_queue() -> None:
    """Close every connection of this process to the queue. Idempotent."""
    broker.close()
    log.info("Job queue stopped")


def check_queue_health() -> bool:
    """Whether the queue can be reached and, on Postgres, has the right schema; answers within 2 s and never raises."""
    if settings.broker_url:
        return bool(broker.is_healthy())  # of RabbitBroker
    return Admin(broker).is_healthy(timeout=2.0)
