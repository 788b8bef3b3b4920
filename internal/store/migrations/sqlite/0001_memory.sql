-- What is remembered of mail. A message's id is its time: microseconds since
-- 1970 times 1024, plus what tells apart those of one microsecond; so whatever is
-- ordered by id is ordered by time. day counts days since 1970-01-01 UTC.
--
-- Every index but the primary keys begins with the day. New rows then go to a
-- small part of each, and what retention removes lies together in it.
CREATE TABLE messages (
	id            INTEGER PRIMARY KEY,
	day           INTEGER NOT NULL,
	queue_key     INTEGER,           -- hash of the queue id; null if there is none
	message_key   INTEGER,           -- hash of the message-id; null if there is none
	client        BLOB,              -- 4 or 6, then the octets of the address; null if not known
	action        TEXT    NOT NULL,  -- what was done
	result        TEXT    NOT NULL,  -- what DMARC found; '' where it did not run
	held          INTEGER NOT NULL,  -- 1: in the MTA's hold queue
	notable       INTEGER NOT NULL,  -- 0: passed and let through, as most mail
	record        BLOB    NOT NULL   -- all of it but the trace
) STRICT;
CREATE INDEX messages_by_queue_key ON messages (day, queue_key, id) WHERE queue_key IS NOT NULL;
CREATE INDEX messages_by_message_key ON messages (day, message_key, id) WHERE message_key IS NOT NULL;
CREATE INDEX messages_by_client ON messages (day, client, id, action, result) WHERE client IS NOT NULL;
CREATE INDEX messages_by_action ON messages (day, action, result, id) WHERE notable = 1;
CREATE INDEX messages_held ON messages (id) WHERE held = 1;

-- The domains that a message is found by. roles adds up 1 (author), 2 (envelope
-- sender) and 4 (recipient). action and result are the message's.
CREATE TABLE message_domains (
	day           INTEGER NOT NULL,
	domain        TEXT    NOT NULL,
	message       INTEGER NOT NULL,
	roles         INTEGER NOT NULL,
	action        TEXT    NOT NULL,
	result        TEXT    NOT NULL,
	PRIMARY KEY (day, domain, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE traces (
	message       INTEGER PRIMARY KEY,
	body          BLOB    NOT NULL   -- deflated
) STRICT;

-- Long texts that many tallies share, kept once: DMARC records and row keys.
CREATE TABLE texts (
	id            INTEGER PRIMARY KEY,
	hash          BLOB    NOT NULL UNIQUE,
	body          BLOB    NOT NULL,
	last_day      INTEGER NOT NULL   -- the latest day that a tally uses it for
) STRICT;

CREATE TABLE tallies (
	day           INTEGER NOT NULL,
	policy_domain TEXT    NOT NULL,
	record_id     INTEGER NOT NULL,  -- of texts
	row_id        INTEGER NOT NULL,  -- of texts
	psl           INTEGER NOT NULL,
	failed        INTEGER NOT NULL,
	messages      INTEGER NOT NULL,
	last          INTEGER NOT NULL,  -- Unix seconds
	PRIMARY KEY (day, policy_domain, record_id, row_id, psl, failed)
) STRICT, WITHOUT ROWID;

-- How far each journal is loaded.
CREATE TABLE positions (
	journal       TEXT    PRIMARY KEY,
	segment       INTEGER NOT NULL,
	octets        INTEGER NOT NULL,
	loaded_at     INTEGER NOT NULL   -- Unix seconds
) STRICT;

-- What each day holds, and what it lacks.
CREATE TABLE days (
	day           INTEGER PRIMARY KEY,
	messages      INTEGER NOT NULL DEFAULT 0,
	message_bytes INTEGER NOT NULL DEFAULT 0,  -- an estimate, with indexes and domains
	trace_bytes   INTEGER NOT NULL DEFAULT 0,  -- likewise
	detail_lost   INTEGER NOT NULL DEFAULT 0,  -- messages that were only tallied
	lost          INTEGER NOT NULL DEFAULT 0   -- records that could not be read or stored, by the day of loading
) STRICT;

-- Who leads, where several daemons share the database. epoch grows with each.
CREATE TABLE leadership (
	name          TEXT    PRIMARY KEY,
	epoch         INTEGER NOT NULL,
	holder        TEXT    NOT NULL,
	since         INTEGER NOT NULL,  -- Unix seconds
	resigned      INTEGER NOT NULL   -- 1: it ended in order; nobody leads in this epoch any more
) STRICT;
