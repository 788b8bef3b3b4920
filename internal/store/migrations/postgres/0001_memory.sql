-- What is remembered of mail. A message's id is its time: microseconds since
-- 1970 times 1024, plus what tells apart those of one microsecond; so whatever is
-- ordered by id is ordered by time. day counts days since 1970-01-01 UTC.
--
-- Every index but the primary keys begins with the day. New rows then go to a
-- small part of each, and what retention removes lies together in it.
CREATE TABLE messages (
	id            BIGINT  PRIMARY KEY,
	queue_key     BIGINT,            -- hash of the queue id; null if there is none
	message_key   BIGINT,            -- hash of the message-id; null if there is none
	day           INTEGER NOT NULL,
	held          INTEGER NOT NULL,  -- 1: in the MTA's hold queue
	notable       INTEGER NOT NULL,  -- 0: passed and let through, as most mail
	client        BYTEA,             -- 4 or 6, then the octets of the address; null if not known
	action        TEXT    COLLATE "C" NOT NULL,  -- what was done
	result        TEXT    COLLATE "C" NOT NULL,  -- what DMARC found; '' where it did not run
	record        BYTEA   NOT NULL   -- all of it but the trace
);
CREATE INDEX messages_by_queue_key ON messages (day, queue_key, id) WHERE queue_key IS NOT NULL;
CREATE INDEX messages_by_message_key ON messages (day, message_key, id) WHERE message_key IS NOT NULL;
CREATE INDEX messages_by_client ON messages (day, client, id, action, result) WHERE client IS NOT NULL;
CREATE INDEX messages_by_action ON messages (day, action, result, id) WHERE notable = 1;
CREATE INDEX messages_held ON messages (id) WHERE held = 1;

-- The domains that a message is found by. roles adds up 1 (author), 2 (envelope
-- sender) and 4 (recipient). action and result are the message's.
CREATE TABLE message_domains (
	message       BIGINT  NOT NULL,
	day           INTEGER NOT NULL,
	roles         INTEGER NOT NULL,
	domain        TEXT    COLLATE "C" NOT NULL,
	action        TEXT    COLLATE "C" NOT NULL,
	result        TEXT    COLLATE "C" NOT NULL,
	PRIMARY KEY (day, domain, message)
);

CREATE TABLE traces (
	message       BIGINT  PRIMARY KEY,
	body          BYTEA   NOT NULL   -- deflated
);
ALTER TABLE traces ALTER COLUMN body SET STORAGE EXTERNAL;

-- Long texts that many tallies share, kept once: DMARC records and row keys.
CREATE TABLE texts (
	id            BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	last_day      INTEGER NOT NULL,  -- the latest day that a tally uses it for
	hash          BYTEA   NOT NULL UNIQUE,
	body          BYTEA   NOT NULL
) WITH (fillfactor = 90);

-- Counts are raised in place: room is left for that in each page.
CREATE TABLE tallies (
	record_id     BIGINT  NOT NULL,  -- of texts
	row_id        BIGINT  NOT NULL,  -- of texts
	messages      BIGINT  NOT NULL,
	last          BIGINT  NOT NULL,  -- Unix seconds
	day           INTEGER NOT NULL,
	psl           INTEGER NOT NULL,
	failed        INTEGER NOT NULL,
	policy_domain TEXT    COLLATE "C" NOT NULL,
	PRIMARY KEY (day, policy_domain, record_id, row_id, psl, failed)
) WITH (fillfactor = 70);

-- How far each journal is loaded.
CREATE TABLE positions (
	journal       TEXT    COLLATE "C" PRIMARY KEY,
	segment       BIGINT  NOT NULL,
	octets        BIGINT  NOT NULL,
	loaded_at     BIGINT  NOT NULL   -- Unix seconds
) WITH (fillfactor = 50);

-- What each day holds, and what it lacks.
CREATE TABLE days (
	day           INTEGER PRIMARY KEY,
	messages      BIGINT  NOT NULL DEFAULT 0,
	message_bytes BIGINT  NOT NULL DEFAULT 0,  -- an estimate, with indexes and domains
	trace_bytes   BIGINT  NOT NULL DEFAULT 0,  -- likewise
	detail_lost   BIGINT  NOT NULL DEFAULT 0,  -- messages that were only tallied
	lost          BIGINT  NOT NULL DEFAULT 0   -- records that could not be read or stored, by the day of loading
) WITH (fillfactor = 50);

-- Who leads, where several daemons share the database. epoch grows with each.
CREATE TABLE leadership (
	name          TEXT    COLLATE "C" PRIMARY KEY,
	epoch         BIGINT  NOT NULL,
	holder        TEXT    NOT NULL,
	since         BIGINT  NOT NULL,  -- Unix seconds
	resigned      INTEGER NOT NULL   -- 1: it ended in order; nobody leads in this epoch any more
);
