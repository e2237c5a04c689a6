-- name: register
-- I4: a claim is only as good as the heartbeat of its worker; this row is that heartbeat. The server process is noted only
-- where the client is told the same one: behind a transaction pooler it belongs to somebody else a moment later.
INSERT INTO {schema}.worker (worker_id, host, pid, threads, queues, backend_pid, backend_start)
SELECT %(worker_id)s, %(host)s, %(pid)s, %(threads)s, %(queues)s, a.pid, a.backend_start
  FROM (VALUES (%(backend_pid)s)) AS me (pid)
  LEFT JOIN pg_stat_activity AS a ON a.pid = me.pid AND a.pid = pg_backend_pid()
ON CONFLICT (worker_id) DO NOTHING

-- name: heartbeat
-- I2, I4: says that this worker lives, and asks for how long it had been silent (null: it was judged dead), whether
-- another one is late, and what the database believes this one holds, from its oldest open claim on (what lies before are
-- remains). One statement, so that an idle worker costs next to nothing.
WITH beat AS (
  UPDATE {schema}.worker AS w
     SET heartbeat_at = now(), queues = %(queues)s, draining = %(draining)s,
         backend_pid = a.pid, backend_start = a.backend_start
    FROM {schema}.worker AS before
    LEFT JOIN pg_stat_activity AS a ON a.pid = %(backend_pid)s AND a.pid = pg_backend_pid()
   WHERE w.worker_id = %(worker_id)s AND w.dead_at IS NULL AND before.worker_id = w.worker_id
  RETURNING extract(epoch FROM now() - before.heartbeat_at)::float8 AS silent_seconds
)
SELECT (SELECT silent_seconds FROM beat),
       EXISTS (SELECT FROM {schema}.worker AS other
                WHERE other.worker_id <> %(worker_id)s
                  AND (other.dead_at IS NOT NULL OR other.heartbeat_at < now() - %(grace)s * interval '1 second')),
       ARRAY(SELECT q.message_id::text FROM {schema}.queue AS q
              WHERE q.state = 'consumed' AND q.worker_id = %(worker_id)s AND q.claim_no >= %(oldest)s
              ORDER BY q.message_id),
       ARRAY(SELECT q.claim_no FROM {schema}.queue AS q
              WHERE q.state = 'consumed' AND q.worker_id = %(worker_id)s AND q.claim_no >= %(oldest)s
              ORDER BY q.message_id)

-- name: deregister
DELETE FROM {schema}.worker WHERE worker_id = %(worker_id)s

-- name: judge
-- I4, I5: silent for a lease, or its session has ended and it did not come back for %(grace)s seconds. A server that has
-- just started judges nobody: everyone was cut off. The row stays marked for a while, so that a claim that was on its
-- way at this moment is found by the next rescue.
WITH forgotten AS (
  DELETE FROM {schema}.worker WHERE dead_at < now() - interval '2 minutes'
)
UPDATE {schema}.worker AS w
   SET dead_at = now()
 WHERE w.dead_at IS NULL AND w.worker_id <> %(worker_id)s
   AND pg_postmaster_start_time() < now() - %(grace)s * interval '1 second'
   AND (w.heartbeat_at < now() - %(lease)s * interval '1 second'
        OR w.heartbeat_at < now() - %(grace)s * interval '1 second'
           AND w.backend_start IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
                            WHERE a.pid = w.backend_pid AND a.backend_start = w.backend_start))
RETURNING w.worker_id::text

-- name: dead_workers
SELECT worker_id::text FROM {schema}.worker WHERE dead_at IS NOT NULL

-- name: rescue
-- I1, I3: what a dead worker ran is due again at once, or dead when it was there at too many deaths.
UPDATE {schema}.queue AS q
   SET state = CASE WHEN q.crashes + 1 < %(crash_limit)s THEN 'queued' ELSE 'rejected' END::{schema}.state,
       reason = CASE WHEN q.crashes + 1 < %(crash_limit)s THEN NULL ELSE 'crashed' END,
       error = format('crashed %%s times: its worker (pid %%s on %%s) died or stopped answering', q.crashes + 1, w.pid, w.host),
       mtime = now(), crashes = q.crashes + 1, worker_id = NULL, claim_no = NULL
  FROM {schema}.worker AS w
 WHERE q.state = 'consumed' AND q.worker_id = w.worker_id AND w.worker_id = ANY (%(dead)s::uuid[])
RETURNING q.message_id::text, q.queue_name, q.state::text, q.crashes, w.worker_id::text, q.error
