-- Reports that others sent about our domains. Ids of items, reports and what they
-- share come from one counter, so that one number names either.
CREATE TABLE received_state (
	name          TEXT    PRIMARY KEY,
	value         INTEGER NOT NULL
) STRICT;
INSERT INTO received_state (name, value) VALUES ('id', 0);

-- Managed domains and services.
CREATE TABLE received_names (
	id            INTEGER PRIMARY KEY,
	value         TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE received_items (
	id            INTEGER PRIMARY KEY,
	feed          TEXT    NOT NULL,
	token         TEXT,              -- null for none
	taken_at      INTEGER NOT NULL,  -- Unix microseconds
	day           INTEGER NOT NULL,  -- of taken_at
	name          TEXT    NOT NULL,
	from_address  TEXT    NOT NULL,
	subject       TEXT    NOT NULL,
	kind          TEXT    NOT NULL,
	why           TEXT    NOT NULL,
	octets        INTEGER NOT NULL,
	digest        BLOB    NOT NULL,
	notes         TEXT    NOT NULL,  -- JSON
	reports       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX received_items_by_token ON received_items (feed, token) WHERE token IS NOT NULL;
CREATE INDEX received_items_aside ON received_items (taken_at, id) WHERE reports = 0;
CREATE INDEX received_items_by_day ON received_items (day);

CREATE TABLE received_reporters (
	id            INTEGER PRIMARY KEY,
	hash          BLOB    NOT NULL UNIQUE,
	org           TEXT    NOT NULL,
	email         TEXT    NOT NULL,
	auth          TEXT    NOT NULL,
	org_lower     TEXT    NOT NULL,
	email_lower   TEXT    NOT NULL
) STRICT;

CREATE TABLE received_reports (
	id            INTEGER PRIMARY KEY,
	item          INTEGER NOT NULL,
	place         INTEGER NOT NULL,  -- in the item, from 0
	received      INTEGER NOT NULL,  -- Unix microseconds
	domain        INTEGER NOT NULL,  -- of received_names; 0 for none
	reporter      INTEGER NOT NULL,
	policy_domain TEXT    NOT NULL,
	p             TEXT    NOT NULL,
	report_id     TEXT    NOT NULL,
	begins        INTEGER NOT NULL,  -- Unix seconds
	ends          INTEGER NOT NULL,
	day           INTEGER NOT NULL,  -- of the period's middle
	spread        INTEGER NOT NULL,  -- 1: its rows are spread over days
	email_domain  TEXT    NOT NULL,
	trust         TEXT    NOT NULL,
	status        TEXT    NOT NULL,
	counts        INTEGER NOT NULL,  -- 1: its rows count
	why           TEXT    NOT NULL,
	of_report     INTEGER NOT NULL,
	flags         INTEGER NOT NULL,
	report_key    BLOB    NOT NULL,
	digest        BLOB    NOT NULL,
	dialect       TEXT    NOT NULL,
	file_name     TEXT    NOT NULL,
	raw_octets    INTEGER NOT NULL,
	records       INTEGER NOT NULL,
	messages      INTEGER NOT NULL,
	compliant     INTEGER NOT NULL,
	quarantined   INTEGER NOT NULL,
	repaired      INTEGER NOT NULL,  -- 1: it needed repair
	reader        INTEGER NOT NULL,  -- version of the reader
	detail        TEXT    NOT NULL   -- JSON of what is only shown
) STRICT;
CREATE INDEX received_reports_by_key ON received_reports (report_key) WHERE status IN ('stored', 'empty');
CREATE INDEX received_reports_by_item ON received_reports (item, place);
CREATE INDEX received_reports_by_domain ON received_reports (domain, day, counts, spread, reporter, received);
CREATE INDEX received_reports_by_day ON received_reports (day, domain, counts, spread, reporter, received);
CREATE INDEX received_reports_by_time ON received_reports (received, id);

-- What was received, compressed, by the id of its report or item.
CREATE TABLE received_raws (
	id            INTEGER PRIMARY KEY,
	day           INTEGER NOT NULL,  -- received
	body          BLOB    NOT NULL
) STRICT;
CREATE INDEX received_raws_by_day ON received_raws (day);

CREATE TABLE received_faults (
	report        INTEGER NOT NULL,
	record        INTEGER NOT NULL,
	line          INTEGER NOT NULL,
	why           TEXT    NOT NULL,
	PRIMARY KEY (report, record)
) STRICT, WITHOUT ROWID;

-- What many rows share: domains, results, reasons.
CREATE TABLE received_sets (
	id            INTEGER PRIMARY KEY,
	hash          BLOB    NOT NULL UNIQUE,
	last_day      INTEGER NOT NULL,  -- the latest that a row uses it on
	body          TEXT    NOT NULL   -- JSON
) STRICT;
CREATE TABLE received_set_names (
	kind          INTEGER NOT NULL,
	value         TEXT    NOT NULL,  -- in small letters
	aset          INTEGER NOT NULL,
	PRIMARY KEY (kind, value, aset)
) STRICT, WITHOUT ROWID;
CREATE INDEX received_set_names_by_set ON received_set_names (aset);

-- Sources, and what they are called from a day on.
CREATE TABLE received_identities (
	id            INTEGER PRIMARY KEY,
	source        BLOB    NOT NULL,  -- 4 or 6, then the octets of the address
	ip            TEXT    NOT NULL,
	from_day      INTEGER NOT NULL,  -- the first one of a source holds for all days before, too
	service       INTEGER NOT NULL,  -- of received_names
	host          TEXT    NOT NULL,
	claimed       TEXT    NOT NULL,
	again         INTEGER NOT NULL,  -- Unix seconds; 0: not yet looked up
	current       INTEGER NOT NULL,  -- 1: the latest of its source
	last_day      INTEGER NOT NULL   -- with mail
) STRICT;
CREATE UNIQUE INDEX received_identities_by_source ON received_identities (source, from_day);
CREATE INDEX received_identities_again ON received_identities (again, last_day) WHERE current = 1;
CREATE INDEX received_identities_by_service ON received_identities (service);

-- A row is what of a record falls on a day: all of it, but for spread reports.
CREATE TABLE received_rows (
	report        INTEGER NOT NULL,
	number        INTEGER NOT NULL,
	day           INTEGER NOT NULL,
	next_day      INTEGER NOT NULL,  -- of the same record; a day beyond all for the last
	domain        INTEGER NOT NULL,
	identity      INTEGER NOT NULL,
	aset          INTEGER NOT NULL,
	messages      INTEGER NOT NULL,
	whole         INTEGER NOT NULL,  -- messages of the record
	disposition   INTEGER NOT NULL,
	spf           INTEGER NOT NULL,
	dkim          INTEGER NOT NULL,
	flags         INTEGER NOT NULL,
	counts        INTEGER NOT NULL,
	PRIMARY KEY (report, number, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX received_rows_by_domain ON received_rows (domain, day DESC, report, number);
CREATE INDEX received_rows_by_day ON received_rows (day DESC, report, number);
CREATE INDEX received_rows_by_identity ON received_rows (identity, day);

CREATE TABLE received_rollups (
	domain        INTEGER NOT NULL,
	day           INTEGER NOT NULL,
	service       INTEGER NOT NULL,
	disposition   INTEGER NOT NULL,
	spf           INTEGER NOT NULL,
	dkim          INTEGER NOT NULL,
	messages      INTEGER NOT NULL,
	records       INTEGER NOT NULL,
	PRIMARY KEY (domain, day, service, disposition, spf, dkim)
) STRICT, WITHOUT ROWID;
CREATE INDEX received_rollups_by_day ON received_rollups (day);

CREATE TABLE received_feeds (
	host          TEXT    NOT NULL,
	name          TEXT    NOT NULL,
	last_run      INTEGER NOT NULL,  -- Unix microseconds; 0 for never
	last_ok       INTEGER NOT NULL,
	error         TEXT    NOT NULL,
	backlog       INTEGER NOT NULL,
	taken         INTEGER NOT NULL,
	position      TEXT    NOT NULL,
	PRIMARY KEY (host, name)
) STRICT;

CREATE TABLE received_pairs (
	auth          TEXT    NOT NULL,
	email         TEXT    NOT NULL,
	accepted      INTEGER NOT NULL,
	decided_by    TEXT    NOT NULL,
	decided_at    INTEGER NOT NULL,  -- Unix seconds
	PRIMARY KEY (auth, email)
) STRICT;

CREATE TABLE received_labels (
	domain        TEXT    NOT NULL,
	service       TEXT    NOT NULL,  -- one of service, host and network is not ''
	host          TEXT    NOT NULL,
	network       TEXT    NOT NULL,
	first_source  BLOB    NOT NULL,  -- of the network
	last_source   BLOB    NOT NULL,
	bits          INTEGER NOT NULL,
	label         TEXT    NOT NULL,
	note          TEXT    NOT NULL,
	decided_by    TEXT    NOT NULL,
	decided_at    INTEGER NOT NULL,
	PRIMARY KEY (domain, service, host, network)
) STRICT;

CREATE TABLE received_snapshots (
	id            INTEGER PRIMARY KEY,
	domain        TEXT    NOT NULL,
	kind          TEXT    NOT NULL,
	name          TEXT    NOT NULL,
	value         TEXT    NOT NULL,
	word          TEXT    NOT NULL,
	error         TEXT    NOT NULL,
	detail        TEXT    NOT NULL,
	first_seen    INTEGER NOT NULL,  -- Unix seconds
	last_seen     INTEGER NOT NULL,
	latest        INTEGER NOT NULL   -- 1: of its domain, kind and name
) STRICT;
CREATE INDEX received_snapshots_by_domain ON received_snapshots (domain, kind, id);
CREATE INDEX received_snapshots_latest ON received_snapshots (domain, kind, name) WHERE latest = 1;

CREATE TABLE received_expected (
	domain        TEXT    PRIMARY KEY,
	record        TEXT    NOT NULL,
	generated_at  INTEGER NOT NULL   -- Unix seconds
) STRICT;
