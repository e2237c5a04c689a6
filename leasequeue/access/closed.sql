-- Closes the schema that search_path names first to everybody who was not let in by name. Postgres lets everybody call new
-- functions, and a default privilege of the owner may let others into new tables: so this runs behind each migration, in its
-- transaction. anon and authenticated are the roles of Supabase's public API; what is not there is not mentioned. No other
-- schema and no default privilege of the owner's is touched.
DO $$
DECLARE
  place text := quote_ident(current_schema());
  outsider text;
  routine regprocedure;
BEGIN
  IF place IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = format(
      'expected search_path to begin with a schema that is there, got: %s', current_setting('search_path'));
  END IF;
  FOR outsider IN
    SELECT 'PUBLIC' UNION ALL SELECT quote_ident(rolname) FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
  LOOP
    EXECUTE format('REVOKE ALL ON SCHEMA %s FROM %s', place, outsider);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %s', place, outsider);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %s FROM %s', place, outsider);
    FOR routine IN
      SELECT p.oid FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
       WHERE n.nspname = current_schema()
         AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')  -- an extension's are its own
    LOOP
      EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s', routine, outsider);
    END LOOP;
  END LOOP;
END
$$;
