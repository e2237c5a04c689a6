"""What can be sent. ``dramatiq actors`` runs the workers; an API imports the actor and sends::

from actors import index_repo
index_repo.send(index_job_id=..., repository_id=..., commit_sha=...)
"""

from broker import broker, settings

from .git_at_boot import GitAtBoot
from .index_failures import RejectionsRecorded, record_death
from .index_on_schedule import index_on_schedule
from .index_repo import enqueue_index_job, index_repo
from .payloads import JobResult

broker.add_middleware(GitAtBoot())  # type: ignore[no-untyped-call]
if settings.broker_url:
    broker.add_middleware(RejectionsRecorded())  # type: ignore[no-untyped-call]
else:
    broker.on_death = record_death

__all__ = ["JobResult", "broker", "enqueue_index_job", "index_on_schedule", "index_repo"]
