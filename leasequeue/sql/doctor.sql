-- name: backend
SELECT pg_backend_pid()

-- name: identity
-- Which database of which server: a name may lead to another one.
SELECT d.datname::text, d.oid::bigint, pg_postmaster_start_time()
  FROM pg_database AS d WHERE d.datname = current_database()

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8

-- name: oldest_snapshots
-- What keeps vacuum from removing dead rows, oldest first: a transaction, a prepared one, or a replication slot. What this
-- role may not see of others is null.
SELECT kind, name, user_name, state, seconds FROM (
  SELECT 'session' AS kind, format('pid %%s, application %%s', pid, coalesce(nullif(application_name, ''), 'without a name'))
         AS name, usename::text AS user_name, state, extract(epoch FROM now() - xact_start)::float8 AS seconds,
         greatest(age(backend_xmin), age(backend_xid)) AS age
    FROM pg_stat_activity
   WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
     AND {keeps_dead_rows}
  UNION ALL
  SELECT 'prepared transaction', gid, owner::text, 'prepared', extract(epoch FROM now() - prepared)::float8, age(transaction)
    FROM pg_prepared_xacts
  UNION ALL
  SELECT 'replication slot', slot_name::text, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL,
         greatest(age(xmin), age(catalog_xmin))
    FROM pg_replication_slots WHERE xmin IS NOT NULL
) AS held
 ORDER BY age DESC NULLS LAST
 LIMIT 5

-- name: table_sizes
SELECT c.relname::text, coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0), pg_table_size(c.oid), pg_indexes_size(c.oid),
       greatest(s.last_autovacuum, s.last_vacuum)
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
 WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND c.relname IN ('queue', 'done', 'worker')
 ORDER BY c.relname

-- name: session_counts
-- Sessions in use, and those that nobody has used for an hour, by application.
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int,
       (SELECT count(*) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND state = 'idle' AND state_change < now() - interval '1 hour'),
       (SELECT string_agg(application_name, ', ') FROM (
          SELECT coalesce(nullif(application_name, ''), 'without a name') AS application_name FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND state = 'idle' AND state_change < now() - interval '1 hour'
           GROUP BY 1 ORDER BY count(*) DESC LIMIT 3) AS often)

-- name: server_settings
SELECT name, setting, unit FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'track_counts', 'statement_timeout',
                'idle_session_timeout', 'transaction_timeout', 'transaction_read_only')

-- name: shape
-- Everything that makes a schema: its columns, indexes, constraints, functions and table settings, without its name.
SELECT kind, name,
       replace(replace(what, quote_ident(%(schema)s) || '.', ''), 'TO ' || quote_literal(%(schema)s), 'TO its own') FROM (
  SELECT 'column' AS kind, format('%%s.%%s', c.relname, a.attname) AS name,
         concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                   'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS what
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE n.nspname = %(schema)s AND c.relkind = 'r'
  UNION ALL
  SELECT 'index', i.relname, pg_get_indexdef(i.oid) || CASE WHEN NOT x.indisvalid THEN ' INVALID' ELSE '' END
    FROM pg_class AS i JOIN pg_namespace AS n ON n.oid = i.relnamespace JOIN pg_index AS x ON x.indexrelid = i.oid
   WHERE n.nspname = %(schema)s AND i.relkind = 'i'
  UNION ALL
  SELECT 'constraint', format('%%s.%%s', c.relname, k.conname), pg_get_constraintdef(k.oid)
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname = %(schema)s AND k.contype <> 'n'
  UNION ALL
  SELECT 'function', p.proname, pg_get_functiondef(p.oid)
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s
  UNION ALL
  SELECT 'table settings', c.relname, array_to_string(ARRAY(SELECT unnest(c.reloptions) ORDER BY 1), ', ')
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname = %(schema)s AND c.relkind = 'r'
) AS parts

-- name: open_rights
-- Who was not let in by name and yet may do something in the schema: everybody (PUBLIC), or Supabase's public API.
SELECT DISTINCT coalesce(r.rolname, 'PUBLIC')::text, what FROM (
  SELECT 'the schema' AS what, nspacl AS acl, nspname FROM pg_namespace
  UNION ALL
  SELECT 'table ' || relname, relacl, nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
   WHERE relkind IN ('r', 'v', 'm', 'p', 'S')
  UNION ALL
  SELECT 'function ' || proname, coalesce(proacl, acldefault('f', proowner)), nspname
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace
) AS ours CROSS JOIN LATERAL aclexplode(acl) AS granted
  LEFT JOIN pg_roles AS r ON r.oid = granted.grantee
 WHERE nspname = %(schema)s AND coalesce(r.rolname, 'PUBLIC') IN ('PUBLIC', 'anon', 'authenticated')
 ORDER BY 1, 2
