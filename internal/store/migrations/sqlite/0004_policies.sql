-- The host in whose MTA held mail waits; null for other mail, and where it is not known.
ALTER TABLE messages ADD COLUMN held_host TEXT;

-- The texts of policies that were in force, and since when on which host.
CREATE TABLE policies (
	id            BLOB    PRIMARY KEY,
	body          BLOB    NOT NULL   -- JSON, deflated
) STRICT;

CREATE TABLE policy_uses (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	at            INTEGER NOT NULL,  -- Unix microseconds
	host          TEXT    NOT NULL,
	policy        BLOB    NOT NULL
) STRICT;
CREATE INDEX policy_uses_by_host ON policy_uses (host, id);
CREATE INDEX policy_uses_by_policy ON policy_uses (policy);

-- When retention last removed what is old: a clock that is far ahead of it must stand
-- for a while before it is believed.
CREATE TABLE retention_clock (
	id            INTEGER PRIMARY KEY,
	at            INTEGER NOT NULL   -- Unix seconds
) STRICT;

-- What retention looks for.
CREATE INDEX received_sets_by_day ON received_sets (last_day);
