-- Counters of rate limits. {schema} is the schema of the limits here, not that of the queue. Each statement returns a
-- row when it has changed its counter. An expired counter counts as absent, and an absent one as 0.

-- name: limit_add
-- A counter that is there stays as it is.
INSERT INTO {schema}.counter AS c (key, value, expires_at)
VALUES (%(key)s, %(amount)s, now() + %(ttl)s::interval)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
  WHERE c.expires_at <= now()
RETURNING true;

-- name: limit_change
-- One statement on one row: two callers at the bound cannot both pass it. The amount is negative to count down.
INSERT INTO {schema}.counter AS c (key, value, expires_at)
SELECT %(key)s, %(amount)s, now() + %(ttl)s::interval
 WHERE %(amount)s BETWEEN %(least)s AND %(most)s
    OR EXISTS (SELECT FROM {schema}.counter WHERE key = %(key)s)
ON CONFLICT (key) DO UPDATE
  SET value = %(amount)s + CASE WHEN c.expires_at > now() THEN c.value ELSE 0 END, expires_at = excluded.expires_at
  WHERE %(amount)s + CASE WHEN c.expires_at > now() THEN c.value ELSE 0 END BETWEEN %(least)s AND %(most)s
RETURNING true;

-- name: limit_lock_window
-- Lets one caller of a window sum and count at a time. It ends with the transaction: a pooler may stand in between.
BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(%(window)s, 0));

-- name: limit_change_in_sum
-- A statement of its own behind the lock: so it sees what was counted by those who had the lock before.
INSERT INTO {schema}.counter AS c (key, value, expires_at)
SELECT %(key)s, %(amount)s, now() + %(ttl)s::interval
  FROM (SELECT coalesce(sum(value), 0) AS total FROM {schema}.counter
         WHERE key = ANY(%(keys)s) AND expires_at > now()) AS others
 WHERE %(amount)s + total <= %(most)s
ON CONFLICT (key) DO UPDATE
  SET value = %(amount)s + CASE WHEN c.expires_at > now() THEN c.value ELSE 0 END, expires_at = excluded.expires_at
RETURNING true;

-- name: limit_seen
SELECT FROM {schema}.counter WHERE key = %(key)s AND expires_at > now();

-- name: limit_purge
-- Never waits for a counter that somebody changes.
DELETE FROM {schema}.counter WHERE key IN
  (SELECT key FROM {schema}.counter WHERE expires_at <= now() LIMIT %(count)s FOR UPDATE SKIP LOCKED);
