-- The queue: creates it, or takes over a table that dramatiq-pg 0.12 made. Names are unqualified: the runner (or
-- PGOPTIONS='-c search_path=dramatiq' psql -f) says which schema. Stop dramatiq-pg workers before a take-over.
--
-- Table map
--   queue    every job that is not completed: waiting, running or dead (one row a job, from enqueue to the end)
--   done     completed jobs, for as long as they can be looked up; never touched by a claim
--   worker   one row a living worker process; its heartbeat is the lease of everything it runs
--
-- Life of a row in queue
--   queued   --claim-->  consumed    the row names the worker and its claim; only they may write to it from now on
--   consumed --done-->   (done)      deleted here, inserted there, in one statement
--   consumed --retry-->  queued      available_at in the future, one error more
--   consumed --hand back--> queued   as if it had never been claimed
--   consumed --dead-->   rejected    with a reason
--   consumed --rescue--> queued or rejected   its worker died: one crash more

DO $$
BEGIN
  IF to_regtype('state') IS NULL THEN
    CREATE TYPE state AS ENUM ('queued', 'consumed', 'rejected', 'done');
  END IF;
END
$$;

-- As dramatiq-pg has it, so that its own tools can read the table.
CREATE TABLE IF NOT EXISTS queue (
  message_id uuid PRIMARY KEY,
  queue_name text NOT NULL DEFAULT 'default',
  state      state,
  mtime      timestamptz DEFAULT now(),
  message    jsonb,
  result     jsonb,
  result_ttl timestamptz
);

ALTER TABLE queue
  ADD COLUMN available_at timestamptz NOT NULL DEFAULT now(),  -- not to be run before this
  ADD COLUMN enqueued_at  timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN expires_at   timestamptz,                         -- given up after this; null: never
  ADD COLUMN worker_id    uuid,                                -- who runs it ...
  ADD COLUMN claim_no     bigint,                              -- ... and by which of that worker's claims: the fence
  ADD COLUMN starts       integer NOT NULL DEFAULT 0,          -- claims that were not handed back
  ADD COLUMN errors       integer NOT NULL DEFAULT 0,          -- runs that ended in an error
  ADD COLUMN crashes      integer NOT NULL DEFAULT 0,          -- runs that ended with their worker
  ADD COLUMN reason       text,                                -- why it is dead
  ADD COLUMN error        text;                                -- the last error, with its traceback, bounded

CREATE TABLE done (
  message_id  uuid PRIMARY KEY,
  queue_name  text NOT NULL,
  message     jsonb,
  result      jsonb,
  result_ttl  timestamptz,           -- the result is not to be shown after this
  enqueued_at timestamptz NOT NULL,
  started_at  timestamptz,
  finished_at timestamptz NOT NULL,
  starts      integer NOT NULL,
  errors      integer NOT NULL,
  crashes     integer NOT NULL,
  keep_until  timestamptz NOT NULL   -- removed after this
);

-- The take-over. dramatiq-pg keeps a delayed message in "<queue>.DQ" with its time in options.eta (milliseconds).
INSERT INTO done
SELECT message_id, queue_name, message, result, result_ttl, coalesce(mtime, now()), NULL, coalesce(mtime, now()), 1, 0, 0,
       greatest(coalesce(mtime, now()) + interval '1 hour', result_ttl)
  FROM queue WHERE state = 'done';
DELETE FROM queue WHERE state = 'done';

UPDATE queue SET
  state        = CASE WHEN state = 'rejected' OR message IS NULL THEN 'rejected' ELSE 'queued' END::state,
  mtime        = coalesce(mtime, now()),
  queue_name   = regexp_replace(queue_name, '\.DQ$', ''),
  message      = jsonb_set(message, '{queue_name}', to_jsonb(regexp_replace(queue_name, '\.DQ$', '')))
                 #- '{options,eta}',
  available_at = CASE WHEN jsonb_typeof(message #> '{options,eta}') = 'number'
                      THEN to_timestamp((message #>> '{options,eta}')::numeric / 1000) ELSE now() END,
  errors       = CASE WHEN jsonb_typeof(message #> '{options,retries}') = 'number'
                      THEN (message #>> '{options,retries}')::numeric::integer ELSE 0 END,
  reason       = CASE WHEN message IS NULL THEN 'unreadable' WHEN state = 'rejected' THEN 'rejected' END,
  error        = CASE WHEN state = 'rejected' THEN message #>> '{options,traceback}' END;

ALTER TABLE queue
  ALTER COLUMN state SET NOT NULL,
  ALTER COLUMN mtime SET NOT NULL,
  ALTER COLUMN mtime SET DEFAULT now(),
  ADD CONSTRAINT queue_running_has_an_owner CHECK ((state = 'consumed') = (worker_id IS NOT NULL)),
  ADD CONSTRAINT queue_owner_has_a_claim    CHECK ((worker_id IS NULL) = (claim_no IS NULL)),
  ADD CONSTRAINT queue_dead_has_a_reason    CHECK ((state = 'rejected') = (reason IS NOT NULL)),
  ADD CONSTRAINT queue_done_lives_elsewhere CHECK (state <> 'done');

-- dramatiq-pg's index on every state costs each claim and each finish an entry; the ones below hold only what is asked for.
DROP INDEX IF EXISTS queue_state_mtime_idx;

-- claim: the oldest ready jobs of a queue. Scheduled ones sort behind now(), running and dead ones are not in it.
CREATE INDEX queue_ready ON queue (queue_name, available_at) WHERE state = 'queued';
-- heartbeat: what a worker holds, from its oldest open claim on; rescue: what a dead one held.
CREATE INDEX queue_running ON queue (worker_id, claim_no) WHERE state = 'consumed';
-- dead letters by queue, newest or oldest first; retention.
CREATE INDEX queue_dead ON queue (queue_name, mtime) WHERE state = 'rejected';
-- retention of completed jobs.
CREATE INDEX done_keep_until ON done (keep_until);

CREATE TABLE worker (
  worker_id     uuid PRIMARY KEY,     -- fresh for each boot: nothing is ever mistaken for its predecessor
  host          text NOT NULL,
  pid           integer NOT NULL,
  threads       integer NOT NULL,
  queues        text[] NOT NULL,
  backend_pid   integer,              -- server process of its heartbeat session; null: behind a transaction pooler
  backend_start timestamptz,
  started_at    timestamptz NOT NULL DEFAULT now(),
  heartbeat_at  timestamptz NOT NULL DEFAULT now(),
  draining      boolean NOT NULL DEFAULT false,
  dead_at       timestamptz           -- judged dead; the row stays a while, so that a late claim of it is caught
);

-- Rows are updated and deleted at the rate of the work: vacuum early and without pauses, at a size that scales with neither.
ALTER TABLE queue SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05, fillfactor = 85);
ALTER TABLE done SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE worker SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);
