-- What an operator does to a queue, and the periodic jobs.
--
-- Table map, continued
--   paused     queues from which nothing is claimed; jobs are still accepted
--   schedule   periodic jobs, and when each is due next
--   chore      what one worker at a time does for all: whoever holds the lock of its row
--
-- Life of a row in queue, continued
--   rejected --redrive--> queued     fresh budgets; what it died of is put into `attempts`
--   rejected --discard--> rejected   reason `discarded`: kept until its retention is over, counted no more
--   queued, consumed --cancel--> rejected   reason `cancelled`; the worker that ran it has lost it

ALTER TABLE queue
  ADD COLUMN redriven          integer NOT NULL DEFAULT 0,  -- how often it was sent again when it was dead
  ADD COLUMN first_enqueued_at timestamptz;                 -- before it was redriven; null: never was, see enqueued_at

-- What a dead job died of, as an id: the same for errors whose first lines differ in numbers, ids, paths, quoted words. Of
-- a worker's death the text only tells how it was noticed.
CREATE FUNCTION cause(message jsonb, reason text, error text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lpad(to_hex(hashtextextended(
  coalesce(message ->> 'actor_name', '') || ' ' || coalesce(reason, '') || ' ' ||
  CASE WHEN reason = 'crashed' THEN ''
       ELSE regexp_replace(left(split_part(coalesce(error, ''), E'\n', 1), 300),
                           '''[^'']*''|"[^"]*"|\S*[0-9/]\S*', '*', 'g') END, 0)), 16, '0');

-- dead letters by what they died of: the causes by a loose scan, each with its count and its first and last death.
CREATE INDEX queue_dead_cause ON queue (queue_name, cause(message, reason, error), mtime) WHERE state = 'rejected';

CREATE TABLE paused (
  queue_name text PRIMARY KEY,
  paused_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE schedule (
  name        text PRIMARY KEY,
  cron        text NOT NULL,             -- five fields, read in time_zone
  time_zone   text NOT NULL,             -- IANA name
  queue_name  text NOT NULL,
  message     jsonb NOT NULL,            -- the job without an id; each tick gives it one
  next_at     timestamptz NOT NULL,      -- due then; whoever sends a tick moves this on in the same statement
  last_at     timestamptz,               -- the tick that was sent last
  last_id     uuid,                      -- and its job
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE chore (name text PRIMARY KEY);
INSERT INTO chore (name) VALUES ('purge');
