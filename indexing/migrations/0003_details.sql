-- What a symbol says of itself, what a file imports, and which files that means. Rows of an earlier version of their
-- language have nulls in the new columns until their files are read again, which the next commit of a repository does.
--
-- Table map, in addition
--   imports        what a content wants of other files; resolved when it is asked for, since that depends on the commit
--   symbol_names   each name once, for fuzzy search; names that nothing has any more may stay
--
-- How an import finds its file: a file has a module, made of its path ('/src/pkg/app' for src/pkg/app.py); an import has
-- one, made of what it says ('/pkg/app'). One ends with the other, at a slash. Modules are indexed in reverse, so that
-- an ending is a range.

ALTER TABLE symbols
  ADD COLUMN first_column integer,                             -- from 1, in characters
  ADD COLUMN last_column integer,                              -- inclusive
  ADD COLUMN first_byte integer,                               -- of the content; null where that is not UTF-8
  ADD COLUMN end_byte integer,                                 -- exclusive
  ADD COLUMN doc text,                                         -- docstring or leading comment, its beginning
  ADD COLUMN exported boolean;                                 -- can be used in other files, says the declaration

-- In one order everywhere, so that a prefix is a range and comes out sorted.
DROP VIEW symbols_at_commit;
DROP INDEX symbols_by_name;
ALTER TABLE symbols ALTER COLUMN name TYPE text COLLATE "C";
-- Serves: symbols by exact name and by prefix, in this order, as many as are asked for.
CREATE INDEX symbols_by_name ON symbols (name, blob_id, ordinal);

CREATE TABLE imports (
  blob_id bigint NOT NULL REFERENCES blobs ON DELETE CASCADE,
  ordinal integer NOT NULL,                                    -- from 0, in the order of the source
  line    integer NOT NULL,                                    -- from 1
  target  text NOT NULL,                                       -- as the source says it
  module  text COLLATE "C",                                    -- null: it names no file that could be here
  up      smallint,                                            -- null: module is the end of the file's module, anywhere
                                                               -- 0, 1, ..: it is all of it, so many directories up
                                                               -- -1: the file's module is the end of it
  -- Serves: what a file imports, and the foreign key.
  PRIMARY KEY (blob_id, ordinal),
  CONSTRAINT imports_module_is_a_path CHECK (module LIKE '/_%'),
  CONSTRAINT imports_up_is_known CHECK (up >= -1 AND (up IS NULL OR module IS NOT NULL)),
  CONSTRAINT imports_line_counts_from_1 CHECK (line >= 1)
);
-- Serves: who may import a file.
CREATE INDEX imports_by_module ON imports (reverse(module)) WHERE module IS NOT NULL;

ALTER TABLE listing_files ADD COLUMN module text COLLATE "C";  -- indexing.languages.modules; null: nobody imports it
-- Serves: which file an import means.
CREATE INDEX listing_files_by_module ON listing_files (listing_id, reverse(module)) WHERE module IS NOT NULL;

CREATE TABLE symbol_names (
  name text COLLATE "C" PRIMARY KEY
);
INSERT INTO symbol_names SELECT DISTINCT name FROM symbols;

-- Fuzzy search. pg_trgm may be missing, or not ours to install: then a name is found whatever its case, and no more.
DO $$
DECLARE
  place text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
    BEGIN
      CREATE EXTENSION pg_trgm;
    EXCEPTION WHEN OTHERS THEN
      RAISE NOTICE 'no pg_trgm (%): fuzzy search ignores case only', SQLERRM;
    END;
  END IF;
  SELECT n.nspname INTO place FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
   WHERE e.extname = 'pg_trgm';
  IF place IS NOT NULL THEN
    -- Serves: names by likeness.
    EXECUTE format('CREATE INDEX symbol_names_by_likeness ON symbol_names USING gin (name %I.gin_trgm_ops)', place);
  ELSE
    -- Serves: the same, as far as that goes.
    CREATE INDEX symbol_names_by_likeness ON symbol_names (lower(name));
  END IF;
END $$;

-- Languages whose files import each other.
CREATE FUNCTION language_family(language text) RETURNS text IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN language IN ('javascript', 'typescript', 'tsx') THEN 'javascript'
              WHEN language IN ('c', 'cpp') THEN 'c'
              WHEN language IN ('java', 'kotlin') THEN 'java'
              ELSE language END;

-- 'a/b' of 'a/b/c', '' of 'c'.
CREATE FUNCTION folder_of(path text) RETURNS text IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN strpos(path, '/') = 0 THEN '' ELSE left(path, -strpos(reverse(path), '/')) END;

-- Every ending of a module: '/a/b/c', '/b/c', '/c'.
CREATE FUNCTION endings_of(module text) RETURNS text[] IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT array_agg('/' || array_to_string(parts[n:], '/'))
    FROM (SELECT string_to_array(ltrim(module, '/'), '/') AS parts) AS split, generate_subscripts(parts, 1) AS n;
END;

-- The module that an import with up >= 0 names: a path from the directory of the file (in Rust, from its module).
CREATE FUNCTION module_from(path text, language text, own_module text, up integer, module text) RETURNS text
  IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT CASE WHEN cardinality(parts) >= up
              THEN concat('/' || nullif(array_to_string(parts[:cardinality(parts) - up], '/'), ''), module) END
    FROM (SELECT string_to_array(CASE WHEN language = 'rust' THEN ltrim(own_module, '/') ELSE folder_of(path) END, '/')
                 AS parts) AS base;
END;

-- The files of one step of a listing that an import means. Where several could be meant: those of the module whose root
-- is nearest around the importing file, else of the one nearest to the top.
CREATE FUNCTION files_imported(
  of_listing bigint, at_step integer, path text, language text, own_module text, module text, up integer
) RETURNS TABLE (imported_path text) STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
  SELECT found.path
    FROM (SELECT t.path, left(t.module, -length(files_imported.module)) AS root, t.module
            FROM listing_files AS t
           WHERE up IS NULL AND t.listing_id = of_listing AND at_step BETWEEN t.first_step AND t.last_step
             AND reverse(t.module) >= reverse(files_imported.module)
             AND reverse(t.module) < left(reverse(files_imported.module), -1) || '0'
             AND language_family(t.language) = language_family(files_imported.language)
          UNION ALL
          SELECT t.path, '', t.module
            FROM listing_files AS t
           WHERE up >= 0 AND t.listing_id = of_listing AND at_step BETWEEN t.first_step AND t.last_step
             AND reverse(t.module) = reverse(module_from(files_imported.path, files_imported.language, own_module, up,
                                                         files_imported.module))
             AND language_family(t.language) = language_family(files_imported.language)
          UNION ALL
          SELECT t.path, left(files_imported.module, -length(t.module)), t.module
            FROM listing_files AS t
           WHERE up = -1 AND t.listing_id = of_listing AND at_step BETWEEN t.first_step AND t.last_step
             AND reverse(t.module) = ANY (SELECT reverse(ending) FROM unnest(endings_of(files_imported.module)) AS ending)
             AND language_family(t.language) = language_family(files_imported.language)
         ) AS found
   WHERE found.path <> files_imported.path
   ORDER BY CASE WHEN up = -1 THEN length(found.root)
                 WHEN starts_with('/' || files_imported.path, found.root || '/') THEN -length(found.root)
                 ELSE length(found.root) END,
            found.module
   FETCH FIRST ROW WITH TIES;
END;

-- What readers should use: whole, published commits only.

CREATE VIEW symbols_at_commit AS
SELECT c.repository_id,
       r.name AS repository,
       r.url AS repository_url,
       c.id AS commit_id,
       c.sha AS commit_sha,
       c.id = r.current_commit_id AS is_current,
       f.path,
       f.language,
       s.ordinal,
       s.name,
       s.kind,
       s.first_line,
       s.last_line,
       s.signature,
       s.parent,
       s.first_column,
       s.last_column,
       s.first_byte,
       s.end_byte,
       s.doc,
       s.exported
  FROM symbols AS s
  JOIN listing_files AS f ON f.blob_id = s.blob_id
  JOIN commits AS c ON c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN repositories AS r ON r.id = c.repository_id;

CREATE VIEW imports_at_commit AS
SELECT c.repository_id,
       c.id AS commit_id,
       c.sha AS commit_sha,
       c.id = r.current_commit_id AS is_current,
       f.path,
       f.language,
       i.ordinal,
       i.line,
       i.target,
       i.module
  FROM imports AS i
  JOIN listing_files AS f ON f.blob_id = i.blob_id
  JOIN commits AS c ON c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN repositories AS r ON r.id = c.repository_id;

-- A row for each file of the same commit that an import means. Ask it by path; by depends_on it looks at every import
-- (indexing.search.dependents does not).
CREATE VIEW dependencies AS
SELECT c.repository_id,
       c.id AS commit_id,
       c.sha AS commit_sha,
       c.id = r.current_commit_id AS is_current,
       f.path,
       i.line,
       i.target,
       found.imported_path AS depends_on
  FROM commits AS c
  JOIN repositories AS r ON r.id = c.repository_id
  JOIN listing_files AS f ON f.listing_id = c.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN imports AS i ON i.blob_id = f.blob_id AND i.module IS NOT NULL
 CROSS JOIN LATERAL files_imported(c.listing_id, c.step, f.path, f.language, f.module, i.module, i.up) AS found;
