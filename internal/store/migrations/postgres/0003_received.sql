-- Reports that others sent about our domains. Ids of items, reports and what they
-- share come from one counter, so that one number names either.
CREATE TABLE received_state (
	name          TEXT    COLLATE "C" PRIMARY KEY,
	value         BIGINT  NOT NULL
);
INSERT INTO received_state (name, value) VALUES ('id', 0);

-- Managed domains and services.
CREATE TABLE received_names (
	id            BIGINT  PRIMARY KEY,
	value         TEXT    COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE received_items (
	id            BIGINT  PRIMARY KEY,
	feed          TEXT    COLLATE "C" NOT NULL,
	token         TEXT    COLLATE "C",              -- null for none
	taken_at      BIGINT  NOT NULL,  -- Unix microseconds
	day           BIGINT  NOT NULL,  -- of taken_at
	name          TEXT    COLLATE "C" NOT NULL,
	from_address  TEXT    COLLATE "C" NOT NULL,
	subject       TEXT    COLLATE "C" NOT NULL,
	kind          TEXT    COLLATE "C" NOT NULL,
	why           TEXT    COLLATE "C" NOT NULL,
	octets        BIGINT  NOT NULL,
	digest        BYTEA   NOT NULL,
	notes         TEXT    COLLATE "C" NOT NULL,  -- JSON
	reports       BIGINT  NOT NULL
);
CREATE UNIQUE INDEX received_items_by_token ON received_items (feed, token) WHERE token IS NOT NULL;
CREATE INDEX received_items_aside ON received_items (taken_at, id) WHERE reports = 0;
CREATE INDEX received_items_by_day ON received_items (day);

CREATE TABLE received_reporters (
	id            BIGINT  PRIMARY KEY,
	hash          BYTEA   NOT NULL UNIQUE,
	org           TEXT    COLLATE "C" NOT NULL,
	email         TEXT    COLLATE "C" NOT NULL,
	auth          TEXT    COLLATE "C" NOT NULL,
	org_lower     TEXT    COLLATE "C" NOT NULL,
	email_lower   TEXT    COLLATE "C" NOT NULL
);

CREATE TABLE received_reports (
	id            BIGINT  PRIMARY KEY,
	item          BIGINT  NOT NULL,
	place         BIGINT  NOT NULL,  -- in the item, from 0
	received      BIGINT  NOT NULL,  -- Unix microseconds
	domain        BIGINT  NOT NULL,  -- of received_names; 0 for none
	reporter      BIGINT  NOT NULL,
	policy_domain TEXT    COLLATE "C" NOT NULL,
	p             TEXT    COLLATE "C" NOT NULL,
	report_id     TEXT    COLLATE "C" NOT NULL,
	begins        BIGINT  NOT NULL,  -- Unix seconds
	ends          BIGINT  NOT NULL,
	day           BIGINT  NOT NULL,  -- of the period's middle
	spread        BIGINT  NOT NULL,  -- 1: its rows are spread over days
	email_domain  TEXT    COLLATE "C" NOT NULL,
	trust         TEXT    COLLATE "C" NOT NULL,
	status        TEXT    COLLATE "C" NOT NULL,
	counts        BIGINT  NOT NULL,  -- 1: its rows count
	why           TEXT    COLLATE "C" NOT NULL,
	of_report     BIGINT  NOT NULL,
	flags         BIGINT  NOT NULL,
	report_key    BYTEA   NOT NULL,
	digest        BYTEA   NOT NULL,
	dialect       TEXT    COLLATE "C" NOT NULL,
	file_name     TEXT    COLLATE "C" NOT NULL,
	raw_octets    BIGINT  NOT NULL,
	records       BIGINT  NOT NULL,
	messages      BIGINT  NOT NULL,
	compliant     BIGINT  NOT NULL,
	quarantined   BIGINT  NOT NULL,
	repaired      BIGINT  NOT NULL,  -- 1: it needed repair
	reader        BIGINT  NOT NULL,  -- version of the reader
	detail        TEXT    COLLATE "C" NOT NULL   -- JSON of what is only shown
);
CREATE INDEX received_reports_by_key ON received_reports (report_key) WHERE status IN ('stored', 'empty');
CREATE INDEX received_reports_by_item ON received_reports (item, place);
CREATE INDEX received_reports_by_domain ON received_reports (domain, day, counts, spread, reporter, received);
CREATE INDEX received_reports_by_day ON received_reports (day, domain, counts, spread, reporter, received);
CREATE INDEX received_reports_by_time ON received_reports (received, id);

-- What was received, compressed, by the id of its report or item.
CREATE TABLE received_raws (
	id            BIGINT  PRIMARY KEY,
	day           BIGINT  NOT NULL,  -- received
	body          BYTEA   NOT NULL
);
CREATE INDEX received_raws_by_day ON received_raws (day);

CREATE TABLE received_faults (
	report        BIGINT  NOT NULL,
	record        BIGINT  NOT NULL,
	line          BIGINT  NOT NULL,
	why           TEXT    COLLATE "C" NOT NULL,
	PRIMARY KEY (report, record)
);

-- What many rows share: domains, results, reasons.
CREATE TABLE received_sets (
	id            BIGINT  PRIMARY KEY,
	hash          BYTEA   NOT NULL UNIQUE,
	last_day      BIGINT  NOT NULL,  -- the latest that a row uses it on
	body          TEXT    COLLATE "C" NOT NULL   -- JSON
);
CREATE TABLE received_set_names (
	kind          BIGINT  NOT NULL,
	value         TEXT    COLLATE "C" NOT NULL,  -- in small letters
	aset          BIGINT  NOT NULL,
	PRIMARY KEY (kind, value, aset)
);
CREATE INDEX received_set_names_by_set ON received_set_names (aset);

-- Sources, and what they are called from a day on.
CREATE TABLE received_identities (
	id            BIGINT  PRIMARY KEY,
	source        BYTEA   NOT NULL,  -- 4 or 6, then the octets of the address
	ip            TEXT    COLLATE "C" NOT NULL,
	from_day      BIGINT  NOT NULL,  -- the first one of a source holds for all days before, too
	service       BIGINT  NOT NULL,  -- of received_names
	host          TEXT    COLLATE "C" NOT NULL,
	claimed       TEXT    COLLATE "C" NOT NULL,
	again         BIGINT  NOT NULL,  -- Unix seconds; 0: not yet looked up
	current       BIGINT  NOT NULL,  -- 1: the latest of its source
	last_day      BIGINT  NOT NULL   -- with mail
);
CREATE UNIQUE INDEX received_identities_by_source ON received_identities (source, from_day);
CREATE INDEX received_identities_again ON received_identities (again, last_day) WHERE current = 1;
CREATE INDEX received_identities_by_service ON received_identities (service);

-- A row is what of a record falls on a day: all of it, but for spread reports.
CREATE TABLE received_rows (
	report        BIGINT  NOT NULL,
	number        BIGINT  NOT NULL,
	day           BIGINT  NOT NULL,
	next_day      BIGINT  NOT NULL,  -- of the same record; a day beyond all for the last
	domain        BIGINT  NOT NULL,
	identity      BIGINT  NOT NULL,
	aset          BIGINT  NOT NULL,
	messages      BIGINT  NOT NULL,
	whole         BIGINT  NOT NULL,  -- messages of the record
	disposition   BIGINT  NOT NULL,
	spf           BIGINT  NOT NULL,
	dkim          BIGINT  NOT NULL,
	flags         BIGINT  NOT NULL,
	counts        BIGINT  NOT NULL,
	PRIMARY KEY (report, number, day)
);
CREATE INDEX received_rows_by_domain ON received_rows (domain, day DESC, report, number);
CREATE INDEX received_rows_by_day ON received_rows (day DESC, report, number);
CREATE INDEX received_rows_by_identity ON received_rows (identity, day);

CREATE TABLE received_rollups (
	domain        BIGINT  NOT NULL,
	day           BIGINT  NOT NULL,
	service       BIGINT  NOT NULL,
	disposition   BIGINT  NOT NULL,
	spf           BIGINT  NOT NULL,
	dkim          BIGINT  NOT NULL,
	messages      BIGINT  NOT NULL,
	records       BIGINT  NOT NULL,
	PRIMARY KEY (domain, day, service, disposition, spf, dkim)
);
CREATE INDEX received_rollups_by_day ON received_rollups (day);

CREATE TABLE received_feeds (
	host          TEXT    COLLATE "C" NOT NULL,
	name          TEXT    COLLATE "C" NOT NULL,
	last_run      BIGINT  NOT NULL,  -- Unix microseconds; 0 for never
	last_ok       BIGINT  NOT NULL,
	error         TEXT    COLLATE "C" NOT NULL,
	backlog       BIGINT  NOT NULL,
	taken         BIGINT  NOT NULL,
	position      TEXT    COLLATE "C" NOT NULL,
	PRIMARY KEY (host, name)
);

CREATE TABLE received_pairs (
	auth          TEXT    COLLATE "C" NOT NULL,
	email         TEXT    COLLATE "C" NOT NULL,
	accepted      BIGINT  NOT NULL,
	decided_by    TEXT    COLLATE "C" NOT NULL,
	decided_at    BIGINT  NOT NULL,  -- Unix seconds
	PRIMARY KEY (auth, email)
);

CREATE TABLE received_labels (
	domain        TEXT    COLLATE "C" NOT NULL,
	service       TEXT    COLLATE "C" NOT NULL,  -- one of service, host and network is not ''
	host          TEXT    COLLATE "C" NOT NULL,
	network       TEXT    COLLATE "C" NOT NULL,
	first_source  BYTEA   NOT NULL,  -- of the network
	last_source   BYTEA   NOT NULL,
	bits          BIGINT  NOT NULL,
	label         TEXT    COLLATE "C" NOT NULL,
	note          TEXT    COLLATE "C" NOT NULL,
	decided_by    TEXT    COLLATE "C" NOT NULL,
	decided_at    BIGINT  NOT NULL,
	PRIMARY KEY (domain, service, host, network)
);

CREATE TABLE received_snapshots (
	id            BIGINT  PRIMARY KEY,
	domain        TEXT    COLLATE "C" NOT NULL,
	kind          TEXT    COLLATE "C" NOT NULL,
	name          TEXT    COLLATE "C" NOT NULL,
	value         TEXT    COLLATE "C" NOT NULL,
	word          TEXT    COLLATE "C" NOT NULL,
	error         TEXT    COLLATE "C" NOT NULL,
	detail        TEXT    COLLATE "C" NOT NULL,
	first_seen    BIGINT  NOT NULL,  -- Unix seconds
	last_seen     BIGINT  NOT NULL,
	latest        BIGINT  NOT NULL   -- 1: of its domain, kind and name
);
CREATE INDEX received_snapshots_by_domain ON received_snapshots (domain, kind, id);
CREATE INDEX received_snapshots_latest ON received_snapshots (domain, kind, name) WHERE latest = 1;

CREATE TABLE received_expected (
	domain        TEXT    COLLATE "C" PRIMARY KEY,
	record        TEXT    COLLATE "C" NOT NULL,
	generated_at  BIGINT  NOT NULL   -- Unix seconds
);
