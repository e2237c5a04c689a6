-- name: leave_unnamed
INSERT INTO indexing.unnamed_contents (blob_ids) VALUES (%(blob_ids)s);

-- name: take_names
-- The names of the contents that have waited longest, in one transaction with that they wait no more. Sorted: two who
-- bring the same names wait for each other at most, and never in a circle. What is there is left out before, because to
-- insert it beside others who may is what costs the most. OFFSET 0 keeps a few contents from having all symbols read,
-- and has trigrams counted once; a name is looked up in its own part by a question for each.
WITH taken AS (
  DELETE FROM indexing.unnamed_contents
   WHERE id IN (SELECT id FROM indexing.unnamed_contents
                 ORDER BY id
                 LIMIT %(batches)s
                   FOR UPDATE SKIP LOCKED)
  RETURNING blob_ids
), added AS (
  INSERT INTO indexing.names (name, size)
  SELECT name, size
    FROM (SELECT name, indexing.trigram_count(name) AS size
            FROM (SELECT DISTINCT s.name
                    FROM taken CROSS JOIN LATERAL unnest(taken.blob_ids) AS content (blob_id)
                   CROSS JOIN LATERAL (SELECT s.name FROM indexing.symbols AS s
                                        WHERE s.blob_id = content.blob_id OFFSET 0) AS s) AS found
          OFFSET 0) AS sized
   WHERE (SELECT n.size FROM indexing.names AS n WHERE n.name = sized.name AND n.size = sized.size) IS NULL
   ORDER BY name
      ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken;

-- name: settle_names
-- What an index gathers before it sorts it in is read by every search.
SELECT gin_clean_pending_list(c.oid)
  FROM pg_partition_tree('indexing.names_by_likeness') AS part
  JOIN pg_class AS c ON c.oid = part.relid AND c.relkind = 'i'
  JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'gin'
 WHERE pg_has_role(c.relowner, 'USAGE');

-- name: about_likeness
-- What the session calls alike; the library that knows is loaded by the first question that needs it.
SELECT coalesce(current_setting('pg_trgm.similarity_threshold', true), '0.3')::float8,
       indexing.trigram_count(%(name)s);

-- name: set_least_likeness
SELECT set_config('pg_trgm.similarity_threshold', %(likeness)s::float8::text, true);

-- name: names_alike
-- The most similar names, of whatever commit, that are at least so much alike: with at least and at most so many
-- trigrams. Two statements in one go, so that they are one transaction also where each is one.
SELECT set_config('pg_trgm.similarity_threshold', %(likeness)s::float8::text, true);
SELECT name, {place}.similarity(name, %(name)s) AS likeness FROM indexing.names
 WHERE name OPERATOR({place}.%%) %(name)s AND (size BETWEEN %(least)s AND %(most)s OR size = 0)
 ORDER BY likeness DESC, name
 LIMIT %(limit)s;

-- name: unnamed_alike
-- The same of contents whose names are still waiting. OFFSET 0 as above.
SELECT s.name, {place}.similarity(s.name, %(name)s) AS likeness
  FROM indexing.unnamed_contents AS u CROSS JOIN LATERAL unnest(u.blob_ids) AS content (blob_id)
 CROSS JOIN LATERAL (SELECT s.name FROM indexing.symbols AS s WHERE s.blob_id = content.blob_id OFFSET 0) AS s
 WHERE s.name OPERATOR({place}.%%) %(name)s
 GROUP BY s.name
 ORDER BY likeness DESC, s.name COLLATE "C"
 LIMIT %(limit)s;

-- name: names_in_any_case
SELECT name FROM indexing.names WHERE lower(name) = lower(%(name)s)
 UNION
SELECT s.name
  FROM indexing.unnamed_contents AS u CROSS JOIN LATERAL unnest(u.blob_ids) AS content (blob_id)
 CROSS JOIN LATERAL (SELECT s.name FROM indexing.symbols AS s WHERE s.blob_id = content.blob_id OFFSET 0) AS s
 WHERE lower(s.name) = lower(%(name)s)
 ORDER BY 1
 LIMIT %(limit)s;

-- name: place_of_trigrams
-- The schema of pg_trgm; no row where it is not installed.
SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_trgm';
