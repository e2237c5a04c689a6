-- Who may do what in the schema that search_path names first. Run it as the owner of the schema, once for each schema, and
-- again after an upgrade. It is safe to repeat, also while workers run.
--
--   owner      whoever has made the schema: migrates it. Needs CREATE on the database, and is nobody's daily login.
--   worker     runs jobs, sends them, and does what an operator's commands do: reads and writes rows. No DDL.
--   producer   sends and asks by functions alone: enqueue() and job(). Reads and writes no table.
--   observer   reads, for health checks, metrics, the status page and the doctor.
--
-- The roles are made when they are missing, which needs CREATEROLE, and cannot log in. Who logs in is a member of one:
--   CREATE ROLE worker_1 LOGIN PASSWORD '...' IN ROLE indexq_worker;
-- A second installation on the same server takes another prefix: SET leasequeue.role_prefix TO 'other'.
DO $$
DECLARE
  prefix text := coalesce(nullif(current_setting('leasequeue.role_prefix', true), ''), 'indexq');
  worker text := quote_ident(prefix || '_worker');
  producer text := quote_ident(prefix || '_producer');
  observer text := quote_ident(prefix || '_observer');
  place text := quote_ident(current_schema());
  owner text := (SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = current_schema());
  each text;
  routine record;
BEGIN
  IF place IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = format(
      'expected search_path to begin with a schema that is there, got: %s', current_setting('search_path'));
  END IF;

  FOREACH each IN ARRAY ARRAY[worker, producer, observer] LOOP
    IF to_regrole(each) IS NULL THEN
      EXECUTE format('CREATE ROLE %s NOLOGIN', each);
    END IF;
    -- From nothing: a right that an earlier release gave and this one does not is gone.
    EXECUTE format('REVOKE ALL ON SCHEMA %s FROM %s', place, each);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %s', place, each);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %s FROM %s', place, each);
  END LOOP;

  EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s, %s', place, worker, observer);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s', place, worker);
  EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %s TO %s', place, worker);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s', place, observer);
  -- What has been migrated is said by those who migrate.
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s.migration FROM %s', place, worker);

  FOR routine IN
    SELECT p.oid::regprocedure AS name, p.proname, p.prosecdef
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.nspname = current_schema()
       AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')  -- an extension's are its own
  LOOP
    EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s, %s', routine.name, producer, observer);
    EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine.name, worker);
    IF NOT routine.prosecdef THEN
      -- Views and indexes call them with the rights of whoever asks; with these alone nobody gains anything.
      EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine.name, observer);
    END IF;
    IF routine.proname IN ('enqueue', 'job', 'ring') THEN
      EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', place, producer);
      EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine.name, producer);
    END IF;
  END LOOP;

  -- What the next migration makes: running workers need it before anybody can run this again.
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %s',
                 owner, place, worker);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT ON TABLES TO %s', owner, place, observer);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT USAGE, SELECT ON SEQUENCES TO %s',
                 owner, place, worker);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT EXECUTE ON FUNCTIONS TO %s', owner, place, worker);

  BEGIN
    -- The doctor names old transactions of others.
    EXECUTE format('GRANT pg_read_all_stats TO %s', observer);
  EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE '% sees no sessions but its own: pg_read_all_stats is not yours to grant', observer;
  END;
END
$$;
