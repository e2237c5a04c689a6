-- name: end_of_page
-- Where the next so many symbols with such names end. From the index alone.
SELECT name, blob_id, ordinal
  FROM (SELECT s.name, s.blob_id, s.ordinal FROM indexing.symbols AS s
         WHERE {names} AND (s.name, s.blob_id, s.ordinal) > (%(name_after)s, %(blob_after)s, %(ordinal_after)s)
         ORDER BY s.name, s.blob_id, s.ordinal
         LIMIT %(page)s) AS page
 ORDER BY name DESC, blob_id DESC, ordinal DESC
 LIMIT 1;

-- name: symbols_on_page
-- From each symbol to the files that have its content in a commit that is asked for. OFFSET 0 keeps that direction: how
-- many files a span of steps holds cannot be estimated, and the other way round reads every file there is.
SELECT f.repository, f.url, f.sha, f.path, f.language, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent,
       s.first_column, s.last_column, s.first_byte, s.end_byte, s.doc, s.exported
  FROM (SELECT * FROM indexing.symbols AS s
         WHERE {names} AND (s.name, s.blob_id, s.ordinal) > (%(name_after)s, %(blob_after)s, %(ordinal_after)s)
           AND (s.name, s.blob_id, s.ordinal) <= (%(name_to)s, %(blob_to)s, %(ordinal_to)s)
           AND (%(kind)s::text IS NULL OR s.kind = %(kind)s)
         ORDER BY s.name, s.blob_id, s.ordinal
        OFFSET 0) AS s
 CROSS JOIN LATERAL (
         SELECT r.name AS repository, r.url, c.sha, f.path, f.language
           FROM indexing.listing_files AS f
           JOIN indexing.commits AS c ON c.listing_id = f.listing_id AND c.id = ANY (%(commit_ids)s)
                                     AND c.step BETWEEN f.first_step AND f.last_step
           JOIN indexing.repositories AS r ON r.id = c.repository_id
          WHERE f.blob_id = s.blob_id AND (%(language)s::text IS NULL OR f.language = %(language)s)
         OFFSET 0) AS f
 ORDER BY s.name, s.blob_id, s.ordinal, f.path
 LIMIT %(limit)s;

-- name: files_below
-- The contents of a directory or a file, or of whole commits: when they are few, names are looked for in them only.
SELECT f.blob_id, r.name, r.url, c.sha, f.path, f.language
  FROM indexing.commits AS c
  JOIN indexing.repositories AS r ON r.id = c.repository_id
 CROSS JOIN LATERAL (
         SELECT f.blob_id, f.path, f.language
           FROM indexing.listing_files AS f
          WHERE f.listing_id = c.listing_id AND c.step BETWEEN f.first_step AND f.last_step AND f.blob_id IS NOT NULL
            AND (%(path)s::text IS NULL OR f.path = %(path)s OR (f.path >= %(path)s || '/' AND f.path < %(path)s || '0'))
            AND (%(language)s::text IS NULL OR f.language = %(language)s)
          LIMIT %(most)s) AS f
 WHERE c.id = ANY (%(commit_ids)s)
 LIMIT %(most)s;

-- name: symbols_in_contents
-- By the names' index, or by the contents' where those are fewer.
SELECT s.blob_id, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent, s.first_column, s.last_column,
       s.first_byte, s.end_byte, s.doc, s.exported
  FROM indexing.symbols AS s
 WHERE {names} AND s.blob_id = ANY (%(blob_ids)s) AND (%(kind)s::text IS NULL OR s.kind = %(kind)s)
 ORDER BY s.name, s.blob_id, s.ordinal
 LIMIT %(limit)s;

-- name: outline
-- By the key of the listing and the key of the content.
SELECT r.name, r.url, c.sha, f.path, f.language, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent,
       s.first_column, s.last_column, s.first_byte, s.end_byte, s.doc, s.exported
  FROM indexing.commits AS c
  JOIN indexing.repositories AS r ON r.id = c.repository_id
  JOIN indexing.listing_files AS f ON f.listing_id = c.listing_id AND f.path = %(path)s
                                  AND c.step BETWEEN f.first_step AND f.last_step
  JOIN indexing.symbols AS s ON s.blob_id = f.blob_id
 WHERE c.id = ANY (%(commit_ids)s)
 ORDER BY r.name, r.id, c.id, s.ordinal;

-- name: files_at
-- Whether there is such a file at all, and why it has no symbols.
SELECT r.name, c.sha, f.path, f.language, coalesce(f.skip_reason, b.skip_reason)
  FROM indexing.commits AS c
  JOIN indexing.repositories AS r ON r.id = c.repository_id
  JOIN indexing.listing_files AS f ON f.listing_id = c.listing_id AND f.path = %(path)s
                                  AND c.step BETWEEN f.first_step AND f.last_step
  LEFT JOIN indexing.blobs AS b ON b.id = f.blob_id
 WHERE c.id = ANY (%(commit_ids)s)
 ORDER BY r.name, r.id, c.id;

-- name: current_commits
SELECT r.current_commit_id FROM indexing.repositories AS r
 WHERE r.current_commit_id IS NOT NULL
   AND (%(repository)s::text IS NULL OR %(repository)s IN (r.name, r.url, r.id::text));

-- name: commits_of
SELECT c.id FROM indexing.commits AS c JOIN indexing.repositories AS r ON r.id = c.repository_id
 WHERE c.sha LIKE %(pattern)s AND (%(repository)s::text IS NULL OR %(repository)s IN (r.name, r.url, r.id::text));

-- name: dependents
-- From the file to the imports that could mean it, and of these the ones that do.
SELECT DISTINCT r.name, r.url, c.sha, f.path, f.language, i.line, i.target
  FROM indexing.commits AS c
  JOIN indexing.repositories AS r ON r.id = c.repository_id
  JOIN indexing.listing_files AS t ON t.listing_id = c.listing_id AND t.path = %(path)s
                                  AND c.step BETWEEN t.first_step AND t.last_step
 CROSS JOIN LATERAL (
         SELECT i.blob_id, i.line, i.target, i.module, i.up
           FROM indexing.imports AS i
          WHERE i.up IS DISTINCT FROM -1
            AND reverse(i.module) = ANY (ARRAY(SELECT reverse(each) FROM unnest(indexing.endings_of(t.module)) AS each))
          UNION ALL
         SELECT i.blob_id, i.line, i.target, i.module, i.up
           FROM indexing.imports AS i
          WHERE i.up = -1 AND reverse(i.module) >= reverse(t.module)
            AND reverse(i.module) < left(reverse(t.module), -1) || '0'
       ) AS i
 CROSS JOIN LATERAL (
         SELECT f.path, f.language, f.module
           FROM indexing.listing_files AS f
          WHERE f.blob_id = i.blob_id AND f.listing_id = c.listing_id AND c.step BETWEEN f.first_step AND f.last_step
         OFFSET 0) AS f
 CROSS JOIN LATERAL indexing.files_imported(c.listing_id, c.step, f.path, f.language, f.module, i.module, i.up) AS found
 WHERE c.id = ANY (%(commit_ids)s) AND found.imported_path = t.path
 ORDER BY 1, 2, 3, 4, 6
 LIMIT %(limit)s;
