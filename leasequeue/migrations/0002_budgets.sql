-- What became of earlier runs, and who is to blame for a worker's death.
--
-- begun        the worker's death is charged to a job when this is true. The first claim of a job sets it at once, since a
--              write for each start would cost every job a commit; a job that was there when a worker died (crashes > 0: a
--              suspect) is claimed without it, marked right before it starts, and runs alone in its worker: so a job that
--              kills its worker is found out, and those beside it are charged once at the most.
-- attempts     runs that did not succeed: [{started, ended, worker, outcome, error}], newest last, at most 50.

ALTER TABLE queue
  ADD COLUMN begun         boolean NOT NULL DEFAULT true,
  ADD COLUMN unknown_since timestamptz,   -- when a worker first found no actor for it: another release may have one
  ADD COLUMN attempts      jsonb;

ALTER TABLE worker
  ADD COLUMN claimed_at   timestamptz,    -- when it last claimed a job ...
  ADD COLUMN finished_at  timestamptz,    -- ... and last wrote the end of one
  ADD COLUMN live_threads integer,        -- dramatiq's threads that are alive, of `threads`
  ADD COLUMN loops        jsonb,          -- seconds since the last good round of each loop, at heartbeat_at
  ADD COLUMN death        text;           -- how it was noticed that it is dead

-- claim: the suspects, one at a time. Nearly always empty. The others are claimed by queue_ready, which holds these too.
CREATE INDEX queue_suspect ON queue (queue_name, available_at) WHERE state = 'queued' AND crashes > 0;

-- A run that did not succeed, put behind those before it. Read and written within one row: no statement more.
CREATE FUNCTION with_attempt(attempts jsonb, started timestamptz, worker text, outcome text, error text)
RETURNS jsonb LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
RETURN CASE WHEN jsonb_array_length(coalesce(attempts, '[]')) < 50 THEN coalesce(attempts, '[]') ELSE attempts - 0 END
       || jsonb_build_object('started', started, 'ended', now(), 'worker', worker, 'outcome', outcome,
                             'error', left(split_part(error, E'\n', 1), 500));
