-- name: flush
-- Waiting and running jobs; dead ones are somebody's evidence and stay.
DELETE FROM {schema}.queue WHERE queue_name = ANY (%(queues)s) AND state IN ('queued', 'consumed')

-- name: unfinished
SELECT EXISTS (SELECT FROM {schema}.queue WHERE queue_name = %(queue_name)s AND state = 'queued')
    OR EXISTS (SELECT FROM {schema}.queue WHERE queue_name = %(queue_name)s AND state = 'consumed')

-- name: first_death
-- Of the jobs that died after a moment.
SELECT message_id::text, reason, error FROM {schema}.queue
 WHERE state = 'rejected' AND queue_name = %(queue_name)s AND mtime >= %(since)s ORDER BY mtime LIMIT 1

-- name: now
SELECT now()

-- part: names_by_index
-- A loose scan: one step per queue, however many jobs wait, or are dead, in it.
waiting (queue_name) AS (
  (SELECT queue_name FROM {schema}.queue WHERE state = 'queued' ORDER BY queue_name LIMIT 1)
  UNION ALL
  SELECT (SELECT q.queue_name FROM {schema}.queue AS q WHERE q.state = 'queued' AND q.queue_name > waiting.queue_name
           ORDER BY q.queue_name LIMIT 1) FROM waiting WHERE waiting.queue_name IS NOT NULL
), dead (queue_name) AS (
  (SELECT queue_name FROM {schema}.queue WHERE state = 'rejected' ORDER BY queue_name LIMIT 1)
  UNION ALL
  SELECT (SELECT q.queue_name FROM {schema}.queue AS q WHERE q.state = 'rejected' AND q.queue_name > dead.queue_name
           ORDER BY q.queue_name LIMIT 1) FROM dead WHERE dead.queue_name IS NOT NULL
)

-- name: queue_names
-- Of all queues that have a job or a living worker.
WITH RECURSIVE {names_by_index}
SELECT queue_name FROM waiting WHERE queue_name IS NOT NULL
UNION SELECT queue_name FROM dead WHERE queue_name IS NOT NULL
UNION SELECT queue_name FROM {schema}.queue WHERE state = 'consumed'
UNION SELECT unnest(queues) FROM {schema}.worker WHERE dead_at IS NULL
ORDER BY 1

-- name: queue_counts
-- Counting stops at %(cap)s: the answer costs the same for ten jobs and for ten million. What an operator has put aside
-- is dead, but nobody's concern any more.
SELECT wanted.queue_name,
       (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'queued' AND q.queue_name = wanted.queue_name
                                 AND q.available_at <= now() LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'queued' AND q.queue_name = wanted.queue_name
                                 AND q.available_at > now() LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'consumed' AND q.queue_name = wanted.queue_name
                              LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'rejected' AND q.queue_name = wanted.queue_name
                                 AND q.reason NOT IN ('discarded', 'cancelled') LIMIT %(cap)s) AS few),
       (SELECT extract(epoch FROM now() - q.available_at)::float8 FROM {schema}.queue AS q
         WHERE q.state = 'queued' AND q.queue_name = wanted.queue_name AND q.available_at <= now()
         ORDER BY q.available_at LIMIT 1)
  FROM unnest(%(queues)s::text[]) AS wanted (queue_name)

-- name: workers
SELECT worker_id::text, host, pid, threads, queues, draining, started_at,
       extract(epoch FROM now() - heartbeat_at)::float8,
       (SELECT count(*) FROM {schema}.queue AS q WHERE q.state = 'consumed' AND q.worker_id = w.worker_id),
       (loops ->> 'notified')::boolean, (loops ->> 'claiming')::boolean
  FROM {schema}.worker AS w
 WHERE dead_at IS NULL AND heartbeat_at > now() - %(lease)s * interval '1 second'
 ORDER BY started_at

-- name: job
SELECT q.message_id::text, q.queue_name,
       CASE q.state WHEN 'queued' THEN CASE WHEN q.available_at > now() THEN 'scheduled' ELSE 'ready' END
                    WHEN 'consumed' THEN 'running' ELSE 'dead' END,
       q.mtime, q.message, q.available_at, q.enqueued_at, q.expires_at, q.starts, q.errors, q.crashes, q.reason, q.error, w.host, w.pid, NULL,
       coalesce(q.attempts, '[]')
  FROM {schema}.queue AS q LEFT JOIN {schema}.worker AS w ON w.worker_id = q.worker_id
 WHERE q.message_id = %(message_id)s
UNION ALL
SELECT message_id::text, queue_name, CASE WHEN merged_into IS NULL THEN 'completed' ELSE 'merged' END,
       finished_at, message, enqueued_at, enqueued_at, NULL,
       starts, errors, crashes, NULL, NULL, NULL, NULL, merged_into::text,
       coalesce(attempts, '[]')
  FROM {schema}.done WHERE message_id = %(message_id)s
