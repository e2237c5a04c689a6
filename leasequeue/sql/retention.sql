-- name: purge_done
-- A bounded bite each time: no long statement, no long lock. One purger at a time in the whole database: whoever does not
-- get the lock of the chore removes nothing. From where the last bite ended: below it are the remains of what it removed.
SET LOCAL synchronous_commit TO off;
SET LOCAL enable_seqscan TO off;
WITH turn AS MATERIALIZED (
  SELECT name FROM {schema}.chore WHERE name = 'purge' FOR UPDATE SKIP LOCKED
), bite AS (
  SELECT d.message_id, d.keep_until FROM {schema}.done AS d
   WHERE d.keep_until < now() AND d.keep_until >= coalesce(%(floor)s::timestamptz, '-infinity')
     AND EXISTS (SELECT FROM turn)
   ORDER BY d.keep_until LIMIT %(limit)s
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM {schema}.done AS d USING bite AS b WHERE d.message_id = b.message_id RETURNING b.keep_until
)
SELECT count(*), max(keep_until), EXISTS (SELECT FROM turn) FROM gone

-- name: purge_dead
SET LOCAL synchronous_commit TO off;
SET LOCAL enable_seqscan TO off;
WITH turn AS MATERIALIZED (
  SELECT name FROM {schema}.chore WHERE name = 'purge' FOR UPDATE SKIP LOCKED
), bite AS (
  SELECT q.message_id, q.mtime FROM {schema}.queue AS q
   WHERE q.state = 'rejected' AND q.queue_name = %(queue_name)s AND q.mtime < now() - %(keep)s * interval '1 second'
     AND q.mtime >= coalesce(%(floor)s::timestamptz, '-infinity') AND EXISTS (SELECT FROM turn)
   ORDER BY q.mtime LIMIT %(limit)s
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM {schema}.queue AS q USING bite AS b
   WHERE q.message_id = b.message_id AND q.state = 'rejected' RETURNING b.mtime
)
SELECT count(*), max(mtime), EXISTS (SELECT FROM turn) FROM gone

-- name: expire
-- I1: a job that no worker takes in time is dead with a reason. Jobs are claimed oldest first, so the expired ones are
-- at the front of each queue: looking at the front is enough, and costs the same whatever waits behind.
UPDATE {schema}.queue AS q
   SET state = 'rejected', reason = 'expired', mtime = now(),
       error = coalesce(q.error, 'not finished within the time it had')
 WHERE q.message_id IN (
  SELECT front.message_id
    FROM unnest(%(queues)s::text[]) AS wanted (queue_name)
   CROSS JOIN LATERAL (
     SELECT message_id, expires_at FROM {schema}.queue AS d
      WHERE d.state = 'queued' AND d.queue_name = wanted.queue_name AND d.available_at <= now()
      ORDER BY d.available_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS front
   WHERE front.expires_at <= now())
RETURNING q.message_id::text, q.queue_name, q.error
