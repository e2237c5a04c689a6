-- name: paused
SELECT queue_name, paused_at FROM {schema}.paused ORDER BY queue_name

-- name: pause
-- Each claim looks here, so every worker knows it with its next one. Jobs are still accepted.
INSERT INTO {schema}.paused (queue_name) VALUES (%(queue_name)s) ON CONFLICT (queue_name) DO NOTHING RETURNING queue_name

-- name: resume
DELETE FROM {schema}.paused WHERE queue_name = %(queue_name)s RETURNING queue_name

-- name: throughput
-- Jobs completed within the last %(window)s seconds, by queue, and the seconds that were looked at: less where the newest
-- %(cap)s jobs are not that old. Completed jobs have an index by the end of their keeping, which is as old as their end.
SELECT queue_name, count(*),
       CASE WHEN sum(count(*)) OVER () < %(cap)s THEN %(window)s::float8
            ELSE extract(epoch FROM now() - min(min(finished_at)) OVER ())::float8 END
  FROM (SELECT queue_name, finished_at FROM {schema}.done
         WHERE keep_until > now() + (%(keep)s::float8 - %(window)s::float8) * interval '1 second'
         ORDER BY keep_until DESC LIMIT %(cap)s) AS recent
 WHERE finished_at > now() - %(window)s::float8 * interval '1 second'
 GROUP BY queue_name

-- name: running_jobs
-- What has been running for the longest comes first.
SELECT q.message_id::text, q.queue_name, 'running', q.message ->> 'actor_name', q.message -> 'args',
       q.message -> 'kwargs', q.mtime, q.available_at, q.enqueued_at, q.errors, q.crashes, q.redriven, w.host, w.pid
  FROM {schema}.queue AS q LEFT JOIN {schema}.worker AS w ON w.worker_id = q.worker_id
 WHERE q.state = 'consumed' AND (%(queue_name)s::text IS NULL OR q.queue_name = %(queue_name)s)
 ORDER BY q.mtime, q.message_id
 LIMIT %(limit)s

-- name: waiting_jobs
-- In the order in which they are due.
SET LOCAL enable_seqscan TO off;
SELECT q.message_id::text, q.queue_name, CASE WHEN %(scheduled)s THEN 'scheduled' ELSE 'ready' END,
       q.message ->> 'actor_name', q.message -> 'args', q.message -> 'kwargs', q.mtime, q.available_at, q.enqueued_at,
       q.errors, q.crashes, q.redriven, NULL, NULL
  FROM {schema}.queue AS q
 WHERE q.state = 'queued' AND q.queue_name = %(queue_name)s
   AND CASE WHEN %(scheduled)s THEN q.available_at > now() ELSE q.available_at <= now() END
 ORDER BY q.available_at
 LIMIT %(limit)s

-- name: cancel
-- I1, I6: dead with a reason, and taken from the worker that may be running it: nothing it does about the job counts any
-- more. Its next heartbeat tells it.
WITH before AS (
  SELECT q.message_id, q.state, q.mtime,
         CASE WHEN q.state = 'consumed' THEN 'running' WHEN q.available_at > now() THEN 'scheduled' ELSE 'ready' END AS told,
         CASE WHEN q.state = 'queued' THEN 'while it was waiting'
              ELSE format('while it was running (pid %%s on %%s)', w.pid, w.host) END AS when_it_was,
         format('pid %%s on %%s', w.pid, w.host) AS worker
    FROM {schema}.queue AS q LEFT JOIN {schema}.worker AS w ON w.worker_id = q.worker_id
   WHERE q.message_id = ANY (%(message_ids)s::uuid[]) AND q.state IN ('queued', 'consumed')
   ORDER BY q.message_id
     FOR UPDATE OF q
)
UPDATE {schema}.queue AS q
   SET state = 'rejected', reason = 'cancelled', mtime = now(), error = 'cancelled ' || b.when_it_was,
       attempts = {schema}.with_attempt(q.attempts, CASE WHEN b.state = 'consumed' THEN b.mtime END,
                                        CASE WHEN b.state = 'consumed' THEN b.worker END, 'cancelled', q.error),
       worker_id = NULL, claim_no = NULL
  FROM before AS b
 WHERE q.message_id = b.message_id
RETURNING q.message_id::text, q.queue_name, b.told, q.error

-- name: remove_waiting
-- A bounded bite from where the last one ended: of the jobs that were sent until a moment, so that it comes to an end.
SET LOCAL enable_seqscan TO off;
WITH bite AS (
  SELECT q.message_id, q.available_at FROM {schema}.queue AS q
   WHERE q.state = 'queued' AND q.queue_name = %(queue_name)s AND q.enqueued_at <= %(until)s
     AND q.available_at >= coalesce(%(floor)s::timestamptz, '-infinity')
   ORDER BY q.available_at LIMIT %(limit)s
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM {schema}.queue AS q USING bite AS b WHERE q.message_id = b.message_id RETURNING b.available_at
)
SELECT count(*), max(available_at) FROM gone

-- name: remove_completed
SET LOCAL enable_seqscan TO off;
WITH bite AS (
  SELECT d.message_id, d.keep_until FROM {schema}.done AS d
   WHERE d.queue_name = %(queue_name)s AND d.finished_at <= %(until)s
     AND d.keep_until >= coalesce(%(floor)s::timestamptz, '-infinity')
   ORDER BY d.keep_until LIMIT %(limit)s
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM {schema}.done AS d USING bite AS b WHERE d.message_id = b.message_id RETURNING b.keep_until
)
SELECT count(*), max(keep_until) FROM gone

-- name: remove_dead
DELETE FROM {schema}.queue WHERE state = 'rejected' AND message_id = ANY (%(message_ids)s::uuid[])
RETURNING message_id::text

-- name: count_waiting
SELECT count(*) FROM (SELECT FROM {schema}.queue WHERE state = 'queued' AND queue_name = %(queue_name)s LIMIT %(cap)s) AS few

-- name: count_completed
SELECT count(*) FROM (SELECT FROM {schema}.done WHERE queue_name = %(queue_name)s LIMIT %(cap)s) AS few
