-- Who may use the console.
CREATE TABLE console_users (
	name          TEXT    PRIMARY KEY,
	role          TEXT    NOT NULL,
	domains       TEXT    NOT NULL,  -- JSON
	hash          TEXT    NOT NULL,  -- of the password
	language      TEXT    NOT NULL,
	theme         TEXT    NOT NULL,
	created       INTEGER NOT NULL,  -- Unix seconds
	logged_in     INTEGER NOT NULL   -- likewise; 0 for never
) STRICT;

-- Sessions and API tokens.
CREATE TABLE console_credentials (
	id            TEXT    PRIMARY KEY,
	kind          TEXT    NOT NULL,
	user_name     TEXT    NOT NULL,
	digest        BLOB    NOT NULL UNIQUE,
	created       INTEGER NOT NULL,
	expires       INTEGER NOT NULL,
	used          INTEGER NOT NULL,
	address       TEXT    NOT NULL,
	label         TEXT    NOT NULL,
	scope         TEXT    NOT NULL
) STRICT;
CREATE INDEX console_credentials_by_user ON console_credentials (user_name, kind, created);

CREATE TABLE console_audit (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	at            INTEGER NOT NULL,  -- Unix microseconds
	user_name     TEXT    NOT NULL,
	address       TEXT    NOT NULL,
	operation     TEXT    NOT NULL,
	detail        TEXT    NOT NULL,
	outcome       TEXT    NOT NULL
) STRICT;
CREATE INDEX console_audit_by_user ON console_audit (user_name, id);
CREATE INDEX console_audit_by_time ON console_audit (at);
