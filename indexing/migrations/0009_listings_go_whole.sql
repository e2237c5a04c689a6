-- Files are written in transactions that hold their listing (touch_listing, advance_listing), and go with it. A foreign
-- key says the same, but looks the listing up again for each file: a quarter of the time that storing them took. That to
-- the contents stays: it is what the upkeep waits for.

ALTER TABLE listing_files DROP CONSTRAINT listing_files_listing_fkey;

-- In place of the foreign key: one look for all listings that a statement removes, a repository's among them.
CREATE FUNCTION remove_what_listings_had() RETURNS trigger LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM indexing.listing_files WHERE listing_id IN (SELECT id FROM removed);
  RETURN NULL;
END $$;

-- Guards: nothing stays of a listing that is removed, whoever removes it.
CREATE TRIGGER listings_remove_what_they_had AFTER DELETE ON listings
  REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION remove_what_listings_had();
