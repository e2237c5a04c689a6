-- Names for fuzzy search are no longer kept apart by a key: whether a name is new is asked of the symbols, whose index
-- has to have it in any case. A key of their own, and inserting beside others who insert the same, took more than half of
-- what storing a name costs beside its trigrams.
--
-- Table map, in the place of symbol_names in 0003
--   symbol_names   each name at least once, for fuzzy search; names that nothing has any more may stay
--
-- A worker of the release before, and two jobs that bring a name at the same time, add it again: readers make names
-- distinct, and indexq collect removes what is there more than once.

ALTER TABLE symbol_names
  DROP CONSTRAINT symbol_names_pkey,
  ALTER COLUMN name SET NOT NULL,
  -- Rows without a key can be removed also where all tables are published for logical replication.
  REPLICA IDENTITY FULL;
