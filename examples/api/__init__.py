"""An API that indexes repositories: it takes an order in milliseconds, and tells how far it is.

From the root of a checkout, with a migrated database in SUPABASE_DB_URL::

    uvicorn examples.api.app:app --port 8080
"""
