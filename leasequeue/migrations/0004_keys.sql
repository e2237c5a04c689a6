-- One waiting and one running job a key, a fair share for each owner, and sending from any language.
--
-- Table map, continued
--   share      how far the turns of a queue have come: where a newcomer's first turn is
--
-- Life of a row in queue, continued
--   queued   --merged-->  queued   another job with its key was sent: the row stays, the newest message is in it
--   consumed, rejected --give way--> (done)   it should wait again, but a newer job with its key waits: merged_into names it

ALTER TABLE queue
  ADD COLUMN key          text,     -- key_of(message): at most one row of it is queued, and one consumed
  ADD COLUMN fairness_key text,     -- who it is done for: owners take turns
  ADD COLUMN turn         bigint;   -- its place among them; null: it is claimed by its time alone

ALTER TABLE done ADD COLUMN merged_into uuid;  -- it was not run: the newer job with its key stands for it

CREATE TABLE share (
  queue_name text PRIMARY KEY,
  served     bigint NOT NULL        -- the turn that was claimed last, or one shortly before; never goes back
);
ALTER TABLE share SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);

-- Whoever sends many jobs with keys at once holds this row meanwhile.
INSERT INTO chore (name) VALUES ('place_many');

-- The promise itself; claim: whether a key is running; a job that returns: whether a newer one waits. Only jobs with a key.
CREATE UNIQUE INDEX queue_key ON queue (key, state) WHERE key IS NOT NULL AND state IN ('queued', 'consumed');
-- claim: the next turns of a queue. enqueue: the last turn of an owner. Only jobs with a turn.
CREATE INDEX queue_turn ON queue (queue_name, turn) WHERE state = 'queued' AND turn IS NOT NULL;
CREATE INDEX queue_owner ON queue (queue_name, fairness_key, turn) WHERE state = 'queued' AND turn IS NOT NULL;

-- Each function below sees this schema and nothing else, whoever calls it; what is temporary comes last.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What a job shares with those that are the same work: its actor and its key, told apart whatever is in them.
CREATE FUNCTION key_of(message jsonb)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path TO pg_catalog, pg_temp
RETURN CASE WHEN message #>> '{options,key}' IS NOT NULL
            THEN jsonb_build_array(message -> 'actor_name', message #> '{options,key}')::text END;
REVOKE ALL ON FUNCTION key_of FROM PUBLIC;

-- Whether a job of a key runs. A function, since planning it would cost each claim what few jobs need.
CREATE FUNCTION key_runs(wanted text)
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan TO off AS $$
BEGIN
  RETURN EXISTS (SELECT FROM queue AS q WHERE q.key = wanted AND q.state = 'consumed');
END
$$;
REVOKE ALL ON FUNCTION key_runs FROM PUBLIC;

-- Stores a job whose message has a key or an owner. All that do so go through here, whatever their language.
-- A job of the same key that waits is replaced: it keeps its id, its place and whether it is under suspicion of killing
-- workers (I3); its message, budgets and time are those of the newest. The turn is the one behind the last that its owner
-- has, or the one being served: so a newcomer is next, and owners take turns.
-- may_be_stored: the answer to an earlier call was lost (I1: a second one must change nothing).
CREATE FUNCTION place(new_id uuid, queue text, message jsonb, delay interval, expire_after interval, errors integer,
                      may_be_stored boolean)
RETURNS TABLE (job_id uuid, merged boolean) LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan TO off AS $$
#variable_conflict use_column
DECLARE
  new_key text := key_of(message);
  owner text := message #>> '{options,fairness_key}';
  now_served bigint;
  new_turn bigint;
BEGIN
  IF may_be_stored AND (EXISTS (SELECT FROM queue AS q WHERE q.message_id = new_id)
                        OR EXISTS (SELECT FROM done AS d WHERE d.message_id = new_id)) THEN
    RETURN QUERY SELECT new_id, false;
    RETURN;
  END IF;
  IF owner IS NOT NULL AND coalesce(place.delay, '0') <= interval '0' THEN
    now_served := coalesce((SELECT s.served FROM share AS s WHERE s.queue_name = place.queue), 0);
    new_turn := coalesce((SELECT max(q.turn) + 1 FROM queue AS q
                           WHERE q.state = 'queued' AND q.queue_name = place.queue
                             AND q.fairness_key = owner AND q.turn >= now_served), now_served);
  END IF;
  -- The same id again replaces the job: whoever runs the old one has lost it (I6). One that waits under this key is replaced
  -- below.
  DELETE FROM queue AS q
   WHERE q.message_id = new_id AND (q.state <> 'queued' OR new_key IS NULL OR q.key IS DISTINCT FROM new_key);
  RETURN QUERY
  INSERT INTO queue AS q
    (message_id, queue_name, state, message, available_at, expires_at, errors, key, fairness_key, turn)
  VALUES (new_id, place.queue, 'queued', place.message, now() + coalesce(place.delay, '0'),
          now() + coalesce(place.delay, '0') + place.expire_after, place.errors, new_key, owner, new_turn)
  ON CONFLICT (key, state) WHERE key IS NOT NULL AND state IN ('queued', 'consumed') DO UPDATE SET
    queue_name = EXCLUDED.queue_name, mtime = now(),
    message = jsonb_set(EXCLUDED.message, '{message_id}', to_jsonb(q.message_id::text)),
    available_at = least(q.available_at, EXCLUDED.available_at), expires_at = EXCLUDED.expires_at,
    errors = EXCLUDED.errors, crashes = least(q.crashes, 1), error = NULL, unknown_since = NULL,
    fairness_key = EXCLUDED.fairness_key,
    turn = CASE WHEN q.queue_name = EXCLUDED.queue_name THEN coalesce(q.turn, EXCLUDED.turn) ELSE EXCLUDED.turn END
  RETURNING q.message_id, q.message_id <> new_id;
END
$$;
REVOKE ALL ON FUNCTION place FROM PUBLIC;

-- Sends a job from SQL, in the caller's transaction. Who may call it needs no right on any table.
-- Returns the job's id, and whether it was merged into a job that waited already (then it is that one's id).
-- SQLSTATE 22023 (invalid_parameter_value) for a parameter that is not as it must be, 54000 (program_limit_exceeded) for
-- more than 1 MiB. Nobody is woken, since a notification would make every commit of the database wait for it: a worker finds
-- the job with its next poll, or at once when ring() is called behind the commit.
CREATE FUNCTION enqueue(actor text, args jsonb DEFAULT '[]', kwargs jsonb DEFAULT '{}', queue text DEFAULT 'default',
                        delay interval DEFAULT '0', key text DEFAULT NULL, fairness_key text DEFAULT NULL,
                        options jsonb DEFAULT '{}')
RETURNS TABLE (job_id uuid, merged boolean) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
  known CONSTANT text[] := '{max_age,max_backoff,max_retries,min_backoff,time_limit}';
  size_limit CONSTANT integer := 1048576;
  one record;
  new_id uuid := gen_random_uuid();
  stored jsonb;
BEGIN
  IF coalesce(actor, '') = '' THEN
    RAISE EXCEPTION 'expected the name of an actor, got: %', coalesce(quote_literal(actor), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF queue IS NULL OR queue !~ '^[a-zA-Z_][a-zA-Z0-9._-]*$' OR queue ~ '\.(DQ|XQ)$' THEN
    RAISE EXCEPTION 'expected a queue name of letters, digits and ._- that begins with a letter, got: %',
      coalesce(quote_literal(queue), 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF jsonb_typeof(args) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'expected args to be a JSON array, got: %', coalesce(jsonb_typeof(args), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF jsonb_typeof(kwargs) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'expected kwargs to be a JSON object, got: %', coalesce(jsonb_typeof(kwargs), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'expected options to be a JSON object, got: %', coalesce(jsonb_typeof(options), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR one IN SELECT o.key AS name, o.value FROM jsonb_each(options) AS o LOOP
    IF one.name <> ALL (known) THEN
      RAISE EXCEPTION 'expected an option of %, got: %', array_to_string(known, ', '), quote_literal(one.name)
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(one.value) <> 'number' OR (one.value #>> '{}')::numeric < 0
       OR (one.value #>> '{}')::numeric > 2147483647 OR (one.value #>> '{}')::numeric % 1 <> 0 THEN
      RAISE EXCEPTION 'expected option % to be a whole number, 0 or more%, got: %', one.name,
        CASE WHEN one.name = 'max_retries' THEN '' ELSE ' (milliseconds)' END, left(one.value::text, 50)
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
  END LOOP;
  IF delay IS NULL OR delay < interval '0' OR delay > interval '10 years' THEN
    RAISE EXCEPTION 'expected a delay from 0 to 10 years, got: %', coalesce(delay::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF key = '' OR length(key) > 500 OR fairness_key = '' OR length(fairness_key) > 500 THEN
    RAISE EXCEPTION 'expected key and fairness_key to have 1 to 500 characters, got: % and %',
      coalesce(length(key)::text, 'NULL'), coalesce(length(fairness_key)::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  stored := jsonb_build_object(
    'message_id', new_id::text, 'queue_name', queue, 'actor_name', actor, 'args', args, 'kwargs', kwargs,
    'options', options || jsonb_strip_nulls(jsonb_build_object('key', key, 'fairness_key', fairness_key)),
    'message_timestamp', (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
  IF octet_length(stored::text) > size_limit THEN
    RAISE EXCEPTION 'expected a message of at most % bytes, got: %. Send where the data is, not the data.',
      size_limit, octet_length(stored::text) USING ERRCODE = 'program_limit_exceeded';
  END IF;
  RETURN QUERY
  SELECT p.job_id, p.merged
    FROM place(new_id, queue, stored, delay,
               coalesce(nullif((options ->> 'max_age')::numeric, 0)::float8 * interval '1 millisecond', interval '24 hours'), 0,
               false) AS p;
END
$$;
REVOKE ALL ON FUNCTION enqueue FROM PUBLIC;

-- What became of a job, for whoever has its id: no row when it never was, or is no longer kept.
-- state: scheduled, waiting, running, completed, dead, or merged (then merged_into is the job to ask for).
CREATE FUNCTION job(id uuid)
RETURNS TABLE (state text, queue text, actor text, enqueued_at timestamptz, due_at timestamptz, since timestamptz,
               errors integer, crashes integer, reason text, error text, result jsonb, merged_into uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT CASE q.state WHEN 'queued' THEN CASE WHEN q.available_at > now() THEN 'scheduled' ELSE 'waiting' END
                      WHEN 'consumed' THEN 'running' ELSE 'dead' END,
         q.queue_name, q.message ->> 'actor_name', q.enqueued_at, q.available_at, q.mtime, q.errors, q.crashes,
         q.reason, split_part(q.error, E'\n', 1), NULL, NULL
    FROM queue AS q WHERE q.message_id = id
  UNION ALL
  SELECT CASE WHEN d.merged_into IS NULL THEN 'completed' ELSE 'merged' END, d.queue_name, d.message ->> 'actor_name',
         d.enqueued_at, NULL, d.finished_at, d.errors, d.crashes, NULL, NULL,
         CASE WHEN d.result_ttl > now() THEN d.result END, d.merged_into
    FROM done AS d WHERE d.message_id = id
$$;
REVOKE ALL ON FUNCTION job FROM PUBLIC;

-- Wakes an idle worker of a queue. To be called behind the commit; never needed for a job to be run.
CREATE FUNCTION ring(queue text DEFAULT 'default')
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  channel text := current_schema() || '.' || queue;
BEGIN
  IF octet_length(channel) > 63 THEN
    channel := 'leasequeue.' || left(encode(sha256(convert_to(channel, 'UTF8')), 'hex'), 32);
  END IF;
  PERFORM pg_notify(channel, '');
END
$$;
REVOKE ALL ON FUNCTION ring FROM PUBLIC;
