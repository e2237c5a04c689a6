-- name: lock_queue
-- Nobody enqueues or claims between the look at what would be lost and the end of it.
LOCK TABLE {schema}.queue, {schema}.worker IN ACCESS EXCLUSIVE MODE

-- name: would_be_lost
-- Jobs that wait, run and are dead, and workers that live. Counting stops at %(cap)s.
SELECT (SELECT count(*) FROM (SELECT FROM {schema}.queue WHERE state = 'queued' LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM (SELECT FROM {schema}.queue WHERE state = 'consumed' LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM (SELECT FROM {schema}.queue WHERE state = 'rejected' LIMIT %(cap)s) AS few),
       (SELECT count(*) FROM {schema}.worker
         WHERE dead_at IS NULL AND heartbeat_at > now() - %(lease)s * interval '1 second')

-- name: schema_contents
-- The schemas of these names that there are: whether they have a record of migrations that looks like ours and can be read,
-- their tables, and their size.
SELECT n.nspname::text,
       EXISTS (SELECT FROM pg_class AS c
                WHERE c.relnamespace = n.oid AND c.relname = 'migration' AND c.relkind = 'r'
                  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                  AND ARRAY(SELECT format('%%s %%s', a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute AS a
                             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
                      = ARRAY['version integer', 'name text', 'applied_at timestamp with time zone']),
       ARRAY(SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') ORDER BY 1),
       (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c
         WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'm'))
  FROM unnest(%(schemas)s::text[]) WITH ORDINALITY AS wanted (name, place)
  JOIN pg_namespace AS n ON n.nspname = wanted.name
 ORDER BY wanted.place

-- name: first_migration
-- What the record says of the beginning: no release has ever called it otherwise.
SELECT name FROM {schema}.migration WHERE version = 1

-- name: dependents
-- What others have built on these schemas and would lose with them: views, foreign keys, functions, columns of our types,
-- indexes by an extension that a migration has put there. Without a path, names are told with their schema.
SET LOCAL search_path TO pg_catalog;
WITH spaces AS (
  SELECT oid FROM pg_namespace WHERE nspname = ANY (%(schemas)s::text[])
), ours (class, object) AS (
  SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces)
  UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace IN (SELECT oid FROM spaces)
  UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM spaces)
  UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace IN (SELECT oid FROM spaces)
  UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcnamespace IN (SELECT oid FROM spaces)
), theirs AS (
  SELECT d.classid, d.objid, d.objsubid,
         CASE d.classid
           WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = d.objid)
           WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = d.objid)
           WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = d.objid)
           WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = d.objid)
           WHEN 'pg_rewrite'::regclass THEN (SELECT c.relnamespace FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
                                              WHERE r.oid = d.objid)
           WHEN 'pg_attrdef'::regclass THEN (SELECT c.relnamespace FROM pg_attrdef AS a JOIN pg_class AS c ON c.oid = a.adrelid
                                              WHERE a.oid = d.objid)
           WHEN 'pg_trigger'::regclass THEN (SELECT c.relnamespace FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
                                              WHERE t.oid = d.objid)
           WHEN 'pg_policy'::regclass THEN (SELECT c.relnamespace FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
                                             WHERE p.oid = d.objid)
         END AS space
    FROM pg_depend AS d JOIN ours ON ours.class = d.refclassid AND ours.object = d.refobjid
   WHERE d.deptype IN ('n', 'a')
)
SELECT DISTINCT replace(pg_describe_object(classid, objid, objsubid), 'rule _RETURN on ', '') FROM theirs
 WHERE space IS NOT NULL AND space NOT IN (SELECT oid FROM spaces)
 ORDER BY 1
