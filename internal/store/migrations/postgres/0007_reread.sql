-- What reads received items again: the version of the reader, and what was known of
-- their senders.
ALTER TABLE received_items ADD COLUMN reader INTEGER NOT NULL DEFAULT 0;
ALTER TABLE received_items ADD COLUMN origin TEXT COLLATE "C" NOT NULL DEFAULT '{}';  -- JSON
