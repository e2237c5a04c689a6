-- Names for fuzzy search are found behind the job that brought them: an eighth of a first index went into them. A job
-- leaves word which contents it has stored (unnamed_contents), and whoever has the time takes their names over. Until
-- then the search reads the names of these contents themselves, so that no answer lacks any.
--
-- The names are parted by how many trigrams they have. Two names are alike by the part of all their trigrams that both
-- have: a name with fewer than half as many, or more than twice as many, cannot be half alike. So the parts far from the
-- name that is asked for are not looked at, which matters for a common word: its trigrams are in tens of thousands of
-- longer names.
--
-- Table map, in the place of symbol_names in 0003 and 0008
--   names              each name once, for fuzzy search; names that nothing has any more may stay
--   unnamed_contents   contents whose names are not in names yet, a row for each batch that was stored

-- Jobs of the release before wait here until the names are copied: none that they add may be missing.
LOCK TABLE symbol_names IN SHARE MODE;

CREATE TABLE names (
  name text COLLATE "C" NOT NULL,
  size integer NOT NULL,                                       -- trigrams; 0: none, or nobody knows
  -- Serves: whether a name is there.
  PRIMARY KEY (name, size)
) PARTITION BY RANGE (size);

DO $$
DECLARE
  place text := (SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_trgm');
  -- Each a quarter more than the one before, which costs the fewest rows and the fewest indexes to look at.
  bounds integer[] := ARRAY[0, 1, 6, 8, 10, 12, 15, 19, 23, 29, 36, 45];
BEGIN
  -- How many different trigrams a name has; 0 where there is no pg_trgm to say it.
  EXECUTE format('CREATE FUNCTION trigram_count(name text) RETURNS integer IMMUTABLE PARALLEL SAFE RETURN %s',
                 coalesce('cardinality(' || place || '.show_trgm(name))', '0'));
  FOR part IN 1 .. cardinality(bounds) LOOP
    EXECUTE format('CREATE TABLE names_from_%s PARTITION OF names FOR VALUES FROM (%s) TO (%s)',
                   bounds[part], bounds[part], coalesce(bounds[part + 1]::text, 'MAXVALUE'));
  END LOOP;
  INSERT INTO names SELECT DISTINCT name, trigram_count(name) FROM symbol_names ORDER BY name;
  IF place IS NOT NULL THEN
    -- Serves: names by likeness. Each search reads what is not sorted in yet, of all parts: little of it, also where
    -- whoever takes names over does not own the index and may not have it sorted in.
    EXECUTE format('CREATE INDEX names_by_likeness ON names USING gin (name %s.gin_trgm_ops) '
                   'WITH (gin_pending_list_limit = 512)', place);
  ELSE
    -- Serves: the same, as far as that goes.
    CREATE INDEX names_by_likeness ON names (lower(name));
  END IF;
END $$;

CREATE TABLE unnamed_contents (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  blob_ids bigint[] NOT NULL
);

DROP TABLE symbol_names;

-- For workers and readers of the release before; to be dropped with the next one.
CREATE VIEW symbol_names AS SELECT name FROM names;

-- How the workers of the release before add a name to symbol_names.
CREATE FUNCTION add_symbol_name() RETURNS trigger LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO indexing.names (name, size) VALUES (NEW.name, indexing.trigram_count(NEW.name)) ON CONFLICT DO NOTHING;
  RETURN NEW;
END $$;

-- Guards: what they add is kept once.
CREATE TRIGGER symbol_names_are_names INSTEAD OF INSERT ON symbol_names
  FOR EACH ROW EXECUTE FUNCTION add_symbol_name();
