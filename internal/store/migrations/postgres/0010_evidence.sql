-- What is known of a source beside its names: the evidence, and how sure it is.
ALTER TABLE received_identities ADD COLUMN about TEXT COLLATE "C" NOT NULL DEFAULT '{}';  -- JSON
