-- How far the search for contents that nothing refers to has come: jobs go on with it, a page at a time.
--
-- Table map, continued
--   collecting   one row: how far the search has come

CREATE TABLE collecting (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  up_to    bigint NOT NULL DEFAULT 0,                          -- the last content looked at; 0: a new round
  at       timestamptz NOT NULL DEFAULT '-infinity'            -- when
);
INSERT INTO collecting DEFAULT VALUES;
