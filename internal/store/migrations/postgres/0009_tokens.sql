-- A feed's items are found by many tokens at once, which an index that begins with the
-- feed does not help PostgreSQL with.
DROP INDEX received_items_by_token;
CREATE UNIQUE INDEX received_items_by_token ON received_items (token, feed) WHERE token IS NOT NULL;
