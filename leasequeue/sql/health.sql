-- name: health
-- Everything that a health check asks, in one statement. Counting stops at %(cap)s. Statistics of a queue are wrong by
-- nature, so the planner is not asked whether to read the whole table. What others wrote since this transaction began is
-- seen as written now.
SET LOCAL enable_seqscan TO off;
WITH RECURSIVE {names_by_index}, living AS (
  SELECT worker_id, host, pid, threads, live_threads, queues, draining, started_at, heartbeat_at, claimed_at, finished_at,
         coalesce((loops ->> 'claim')::float8, 0) AS claim_good_seconds,
         (loops ->> 'notified')::boolean AS notified, coalesce((loops ->> 'claiming')::boolean, true) AS claiming
    FROM {schema}.worker
   WHERE dead_at IS NULL AND heartbeat_at > now() - %(lease)s * interval '1 second'
), running AS (
  SELECT q.queue_name, q.worker_id, q.mtime AS claimed_at FROM {schema}.queue AS q WHERE q.state = 'consumed'
), names (queue_name) AS (
  SELECT queue_name FROM waiting WHERE queue_name IS NOT NULL
  UNION SELECT queue_name FROM dead WHERE queue_name IS NOT NULL
  UNION SELECT queue_name FROM running
  UNION SELECT unnest(queues) FROM living
), counted AS (
  SELECT names.queue_name AS name,
         (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'queued' AND q.queue_name = names.queue_name
                                   AND q.available_at <= now() LIMIT %(cap)s) AS few) AS ready,
         (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'queued' AND q.queue_name = names.queue_name
                                   AND q.available_at > now() LIMIT %(cap)s) AS few) AS scheduled,
         (SELECT count(*) FROM running WHERE running.queue_name = names.queue_name) AS running,
         (SELECT count(*) FROM (SELECT FROM {schema}.queue AS q WHERE q.state = 'rejected' AND q.queue_name = names.queue_name
                                   AND q.reason NOT IN ('discarded', 'cancelled') LIMIT %(cap)s) AS few) AS dead,
         (SELECT extract(epoch FROM now() - q.available_at)::float8 FROM {schema}.queue AS q
           WHERE q.state = 'queued' AND q.queue_name = names.queue_name AND q.available_at <= now()
           ORDER BY q.available_at LIMIT 1) AS oldest_ready_seconds
    FROM names
)
SELECT current_setting('transaction_read_only') = 'off',
       (SELECT coalesce(max(version), 0) FROM {schema}.migration),
       (SELECT coalesce(jsonb_agg(counted ORDER BY name), '[]') FROM counted),
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                 'worker_id', w.worker_id, 'host', w.host, 'pid', w.pid, 'threads', w.threads, 'live_threads', w.live_threads,
                 'queues', w.queues, 'draining', w.draining, 'notified', w.notified, 'claiming', w.claiming,
                 'started_seconds', greatest(0, extract(epoch FROM now() - w.started_at)),
                 'silent_seconds', greatest(0, extract(epoch FROM now() - w.heartbeat_at)),
                 'holds', (SELECT count(*) FROM running WHERE running.worker_id = w.worker_id),
                 'busy', w.claim_good_seconds < %(claims_within)s AND EXISTS (SELECT FROM running WHERE running.worker_id = w.worker_id
                                    AND running.claimed_at > now() - %(time_limit)s * interval '1 second')
               ) ORDER BY w.started_at), '[]') FROM living AS w),
       (SELECT extract(epoch FROM now() - greatest(
                 (SELECT max(claimed_at) FROM running),
                 (SELECT max(greatest(claimed_at, finished_at, started_at)) FROM living)))::float8),
       ARRAY(SELECT queue_name FROM {schema}.paused ORDER BY queue_name)

-- part: keeps_dead_rows
-- Whether a session of pg_stat_activity keeps vacuum from removing dead rows here. One of another database does so only
-- while it writes: snapshots here cannot pass its transaction. One of no database is a replica's.
(backend_xid IS NOT NULL OR (backend_xmin IS NOT NULL AND coalesce(datname, current_database()) = current_database()))

-- name: tables
-- Size and dead rows of each table, and for how long the oldest transaction has kept dead rows from being removed.
-- Estimates of the server's own statistics.
SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup,
       (SELECT coalesce(extract(epoch FROM now() - min(xact_start)), 0)::float8 FROM pg_stat_activity
         WHERE {keeps_dead_rows})
  FROM pg_stat_user_tables
 WHERE schemaname = %(schema)s
 ORDER BY relname
