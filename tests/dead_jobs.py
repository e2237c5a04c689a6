"""Dead jobs for tests, as a worker would have left them."""

from __future__ import annotations

from sql_access import Sql

_BURY = """
WITH made AS (
  INSERT INTO dramatiq.queue
    (message_id, queue_name, state, mtime, message, reason, error, starts, errors, crashes, enqueued_at, attempts)
  SELECT id, %s, 'rejected', now() - %s::interval + n * interval '1 microsecond',
         jsonb_build_object('queue_name', %s, 'actor_name', %s, 'args', jsonb_build_array(n), 'kwargs', '{}'::jsonb,
           'options', '{"retries": 3, "traceback": "old"}'::jsonb, 'message_id', id, 'message_timestamp', 0),
         %s, replace(%s, '#', n::text), 4, 4, 0, now() - %s::interval - interval '1 hour',
         '[{"ended": "2026-01-01T00:00:00+00:00", "outcome": "error", "worker": "1@host", "error": "first"}]'
    FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, %s) AS n) AS numbered
  RETURNING message_id::text, mtime)
SELECT message_id FROM made ORDER BY mtime
"""

#: An error with a number in its first line (# is replaced by it) and a traceback behind it.
TIMEOUT = "TimeoutError: no answer from host-#\n\nTraceback (most recent call last):\n  in fetch"


def bury(
    sql: Sql,
    count: int = 1,
    *,
    queue: str = "default",
    actor: str = "work",
    reason: str = "retries_exhausted",
    error: str = TIMEOUT,
    age: str = "0",
) -> list[str]:
    """Store so many dead jobs, which died ``age`` ago; returns their ids, oldest death first."""
    rows = sql(_BURY, queue, age, queue, actor, reason, error, age, count)
    return [row[0] for row in rows]
