-- name: running_now
-- What runs now, the longest first.
SELECT q.message_id::text, q.queue_name, q.message ->> 'actor_name', q.message,
       extract(epoch FROM now() - q.mtime)::float8, q.errors + q.crashes + 1, w.host, w.pid
  FROM {schema}.queue AS q LEFT JOIN {schema}.worker AS w ON w.worker_id = q.worker_id
 WHERE q.state = 'consumed'
 ORDER BY q.mtime, q.message_id
 LIMIT %(limit)s

-- name: last_hour
-- Jobs that were completed, and jobs that died, by minutes ago.
SELECT minutes_ago, sum(done)::bigint, sum(dead)::bigint
  FROM (SELECT floor(extract(epoch FROM now() - finished_at) / 60)::integer AS minutes_ago, 1 AS done, 0 AS dead
          FROM {schema}.done WHERE finished_at > now() - interval '1 hour'
        UNION ALL
        SELECT floor(extract(epoch FROM now() - mtime) / 60)::integer, 0, 1
          FROM {schema}.queue WHERE state = 'rejected' AND mtime > now() - interval '1 hour') AS ended
 WHERE minutes_ago BETWEEN 0 AND 59
 GROUP BY minutes_ago
