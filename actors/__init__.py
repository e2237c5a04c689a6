"""What can be sent. ``dramatiq actors`` runs the workers; an API imports the actor and sends::

from actors import index_repo
index_repo.send(index_job_id=..., repository_id=..., commit_sha=...)
"""

from broker import broker, settings

from .index_failures import RejectionsRecorded, record_death
from .index_on_schedule import index_on_schedule
from .index_repo import enqueue_index_job, index_repo
from .payloads import JobResult
from .ready_to_index import ReadyToIndex
from .upkeep_behind_jobs import UpkeepBehindJobs

broker.add_middleware(ReadyToIndex())  # type: ignore[no-untyped-call]
broker.add_middleware(UpkeepBehindJobs())  # type: ignore[no-untyped-call]
if settings.broker_url:
    broker.add_middleware(RejectionsRecorded())  # type: ignore[no-untyped-call]
else:
    broker.on_death = record_death

__all__ = ["JobResult", "broker", "enqueue_index_job", "index_on_schedule", "index_repo"]
