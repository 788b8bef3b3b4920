-- The reports that we send. Times are Unix milliseconds.

-- How far the days are closed (nothing is counted into them any more) and reported.
CREATE TABLE report_progress (
	id            INTEGER PRIMARY KEY,
	closed        INTEGER,           -- null while no day ever was
	built         INTEGER,           -- likewise
	reopened      INTEGER,           -- days up to this one may have reports though they are open; null for none
	secret        BYTEA              -- what Report-IDs are made of; null until it is wanted
);
INSERT INTO report_progress (id) VALUES (1);

CREATE TABLE reports (
	id            BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind          TEXT    COLLATE "C" NOT NULL,  -- aggregate or failure
	policy_domain TEXT    COLLATE "C" NOT NULL,
	day           INTEGER NOT NULL,
	report_id     TEXT    COLLATE "C" NOT NULL UNIQUE,
	file_name     TEXT    NOT NULL,
	subject       TEXT    NOT NULL,
	org_name      TEXT    NOT NULL,
	email         TEXT    NOT NULL,
	made          BIGINT  NOT NULL,
	messages      BIGINT  NOT NULL,
	row_count     BIGINT  NOT NULL,
	octets        BIGINT  NOT NULL,
	stored        INTEGER NOT NULL,  -- 1: report_files has it
	note          TEXT    NOT NULL,
	problem       TEXT    NOT NULL
);
CREATE UNIQUE INDEX reports_of_days ON reports (policy_domain, day) WHERE kind = 'aggregate';
CREATE INDEX reports_by_domain ON reports (policy_domain, id);
CREATE INDEX reports_by_day ON reports (day, id);
CREATE INDEX reports_by_made ON reports (made, id);
CREATE INDEX reports_of_failures ON reports (made, id) WHERE kind = 'failure';
CREATE INDEX reports_with_file ON reports (made) WHERE stored = 1;

CREATE TABLE report_files (
	report        BIGINT  PRIMARY KEY,
	body          BYTEA   NOT NULL   -- compressed by gzip; of a failure report, a mail
);
ALTER TABLE report_files ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE deliveries (
	id            BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	report        BIGINT  NOT NULL,
	address       TEXT    NOT NULL,
	address_key   TEXT    COLLATE "C" NOT NULL,  -- the address in small letters
	host          TEXT    COLLATE "C" NOT NULL,
	state         TEXT    COLLATE "C" NOT NULL,
	due           BIGINT,            -- of the next attempt, or when the claim of this one lapses; null when nothing is to come
	claim         BIGINT  NOT NULL,  -- how often it was claimed
	claimed       INTEGER NOT NULL,  -- 1: an attempt is under way
	attempts      INTEGER NOT NULL,
	expires       BIGINT  NOT NULL,
	sent          BIGINT,            -- null unless it was
	cause         TEXT    NOT NULL,
	error         TEXT    NOT NULL,
	message_id    TEXT    COLLATE "C" NOT NULL UNIQUE,
	verified      INTEGER NOT NULL,
	record        TEXT    NOT NULL,  -- what the outside host says
	UNIQUE (report, address_key)
);
CREATE INDEX deliveries_due ON deliveries (due) WHERE due IS NOT NULL;
CREATE INDEX deliveries_by_state ON deliveries (state, report);
CREATE INDEX deliveries_by_address ON deliveries (address_key, report);

-- Who gets no reports: addresses and hosts.
CREATE TABLE suppressions (
	target        TEXT    COLLATE "C" PRIMARY KEY,
	reason        TEXT    NOT NULL,
	by_hand       INTEGER NOT NULL,
	since         BIGINT  NOT NULL,
	until         BIGINT,            -- null for ever
	strikes       INTEGER NOT NULL   -- how often it came by itself
);
