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
-- remains), and whether a periodic job is due. One statement, so that an idle worker costs next to nothing. `loops` also
-- tells whether the worker is notified of new jobs, and whether it claims any.
WITH beat AS (
  UPDATE {schema}.worker AS w
     SET heartbeat_at = now(), queues = %(queues)s, draining = %(draining)s,
         backend_pid = a.pid, backend_start = a.backend_start,
         claimed_at = coalesce(now() - %(claimed)s * interval '1 second', w.claimed_at),
         finished_at = coalesce(now() - %(finished)s * interval '1 second', w.finished_at),
         live_threads = %(live_threads)s, loops = %(loops)s
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
              ORDER BY q.message_id),
       EXISTS (SELECT FROM {schema}.schedule WHERE next_at <= now())

-- name: deregister
-- I4: leaves at the end of a drain. One that could not write the end of a job stays in the table as dead, to be rescued.
WITH still AS (
  SELECT EXISTS (SELECT FROM {schema}.queue WHERE state = 'consumed' AND worker_id = %(worker_id)s) AS holds
), gone AS (
  DELETE FROM {schema}.worker WHERE worker_id = %(worker_id)s AND NOT (SELECT holds FROM still)
)
UPDATE {schema}.worker SET dead_at = now(), death = 'it left before the end of the job was written'
 WHERE worker_id = %(worker_id)s AND dead_at IS NULL AND (SELECT holds FROM still)

-- name: judge
-- I4, I5: silent for a lease, or its session has ended and it did not come back for %(grace)s seconds. Who was heard of
-- last before the server started, or before the judge itself was back in touch %(in_touch)s seconds ago, was cut off by an
-- outage for all, and gets %(comeback)s seconds to come back. The row stays marked for a while, so that a claim that was
-- on its way at this moment is found by the next rescue, and for as long as it holds a job.
-- When a session of another role began is hidden from this one: then its process number has to do.
WITH forgotten AS (
  DELETE FROM {schema}.worker AS w
   WHERE w.dead_at < now() - interval '2 minutes'
     AND NOT EXISTS (SELECT FROM {schema}.queue AS q WHERE q.state = 'consumed' AND q.worker_id = w.worker_id)
)
UPDATE {schema}.worker AS w
   SET dead_at = now(),
       death = CASE WHEN w.heartbeat_at < now() - %(lease)s * interval '1 second'
                    THEN format('it was silent for %%s s', round(extract(epoch FROM now() - w.heartbeat_at)))
                    ELSE 'its session with the database ended' END
 WHERE w.dead_at IS NULL AND w.worker_id <> %(worker_id)s
   AND (w.heartbeat_at > pg_postmaster_start_time()
        OR pg_postmaster_start_time() < now() - %(comeback)s * interval '1 second')
   AND (w.heartbeat_at > now() - %(in_touch)s * interval '1 second' OR %(in_touch)s >= %(comeback_of_judge)s)
   AND (w.heartbeat_at < now() - %(lease)s * interval '1 second'
        OR w.heartbeat_at < now() - %(grace)s * interval '1 second'
           AND w.backend_start IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
                            WHERE a.pid = w.backend_pid
                              AND (a.backend_start = w.backend_start OR a.backend_start IS NULL)))
RETURNING w.worker_id::text, w.death

-- name: dead_workers
SELECT worker_id::text, host, pid, death FROM {schema}.worker WHERE dead_at IS NOT NULL

-- name: adopt_orphans
-- I4: a job whose worker is in no table any more (somebody emptied it; a claim that was stuck landed after its worker had
-- left) gets a dead worker, so that the next rescue finds it.
INSERT INTO {schema}.worker (worker_id, host, pid, threads, queues, dead_at, death)
SELECT DISTINCT q.worker_id, 'unknown', 0, 0, '{}'::text[], now(), 'it is not known to the queue'
  FROM {schema}.queue AS q
 WHERE q.state = 'consumed' AND NOT EXISTS (SELECT FROM {schema}.worker AS w WHERE w.worker_id = q.worker_id)
ON CONFLICT (worker_id) DO NOTHING
RETURNING worker_id::text

-- name: rescue
-- I1, I3: what a dead worker ran is due again at once, or dead when it was there at too many deaths. A suspect that had
-- not begun is charged nothing. Rows in the order of their ids, and none that somebody holds: the next round finds it.
-- Those with keys one by one: who waits for a key must hold nothing that others wait for.
UPDATE {schema}.queue AS q
   SET state = CASE WHEN q.crashes + q.begun::integer < %(crash_limit)s THEN 'queued' ELSE 'rejected' END::{schema}.state,
       reason = CASE WHEN q.crashes + q.begun::integer < %(crash_limit)s THEN NULL ELSE 'crashed' END,
       error = CASE WHEN q.begun THEN format('crashed %%s times: %%s', q.crashes + 1, d.what) ELSE q.error END,
       attempts = CASE WHEN q.begun THEN {schema}.with_attempt(q.attempts, q.mtime, d.worker, 'crashed', d.what)
                       ELSE q.attempts END,
       mtime = now(), crashes = q.crashes + q.begun::integer, worker_id = NULL, claim_no = NULL
  FROM (SELECT held.message_id, dead.worker_id, dead.worker, dead.what
          FROM unnest(%(dead)s::uuid[], %(workers)s::text[], %(deaths)s::text[]) AS dead (worker_id, worker, what)
          JOIN {schema}.queue AS held ON held.state = 'consumed' AND held.worker_id = dead.worker_id
         WHERE CASE WHEN %(keyed)s THEN held.key IS NOT NULL AND NOT EXISTS (
                      SELECT FROM {schema}.queue AS newer WHERE newer.key = held.key AND newer.state = 'queued')
                    ELSE held.key IS NULL END
         ORDER BY held.message_id
         LIMIT %(limit)s
           FOR UPDATE OF held SKIP LOCKED) AS d
 WHERE q.message_id = d.message_id
RETURNING q.message_id::text, q.queue_name, q.state::text, q.crashes, d.worker_id::text, q.error

-- name: superseded
-- The others that dead workers ran: of each a newer job with its key waits already, so it gives way.
SELECT q.message_id::text, q.queue_name, q.worker_id::text, q.claim_no
  FROM unnest(%(dead)s::uuid[]) AS dead (worker_id)
  JOIN {schema}.queue AS q ON q.state = 'consumed' AND q.worker_id = dead.worker_id
  JOIN {schema}.queue AS newer ON newer.key = q.key AND newer.state = 'queued'
 ORDER BY q.message_id
 LIMIT %(limit)s
