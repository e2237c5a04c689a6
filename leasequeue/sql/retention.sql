-- name: purge_done
-- A bounded bite each time: no long statement, no long lock.
DELETE FROM {schema}.done WHERE message_id IN (
  SELECT message_id FROM {schema}.done WHERE keep_until < now() ORDER BY keep_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING 1

-- name: purge_dead
DELETE FROM {schema}.queue WHERE message_id IN (
  SELECT q.message_id
    FROM unnest(%(queues)s::text[]) AS wanted (queue_name)
   CROSS JOIN LATERAL (
     SELECT message_id FROM {schema}.queue AS d
      WHERE d.state = 'rejected' AND d.queue_name = wanted.queue_name AND d.mtime < now() - %(keep)s * interval '1 second'
      ORDER BY d.mtime LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS q)
RETURNING 1

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
