-- Rate limits: one counter a key, for dramatiq's limiters, mutexes, barriers and the completion callbacks of groups.
-- A schema of its own, beside that of the queue: who uses no limiter has no table.

CREATE TABLE counter (
  key        text PRIMARY KEY,
  value      bigint NOT NULL,
  expires_at timestamptz NOT NULL   -- from then on the row is as good as gone; somebody removes it later
);

-- limit_purge: what is over.
CREATE INDEX counter_expires_at ON counter (expires_at);
ALTER TABLE counter SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000, fillfactor = 80);
