-- Who may use the console.
CREATE TABLE console_users (
	name          TEXT    COLLATE "C" PRIMARY KEY,
	role          TEXT    COLLATE "C" NOT NULL,
	domains       TEXT    COLLATE "C" NOT NULL,  -- JSON
	hash          TEXT    COLLATE "C" NOT NULL,  -- of the password
	language      TEXT    COLLATE "C" NOT NULL,
	theme         TEXT    COLLATE "C" NOT NULL,
	created       BIGINT  NOT NULL,  -- Unix seconds
	logged_in     BIGINT  NOT NULL   -- likewise; 0 for never
);

-- Sessions and API tokens.
CREATE TABLE console_credentials (
	id            TEXT    COLLATE "C" PRIMARY KEY,
	kind          TEXT    COLLATE "C" NOT NULL,
	user_name     TEXT    COLLATE "C" NOT NULL,
	digest        BYTEA   NOT NULL UNIQUE,
	created       BIGINT  NOT NULL,
	expires       BIGINT  NOT NULL,
	used          BIGINT  NOT NULL,
	address       TEXT    COLLATE "C" NOT NULL,
	label         TEXT    COLLATE "C" NOT NULL,
	scope         TEXT    COLLATE "C" NOT NULL
);
CREATE INDEX console_credentials_by_user ON console_credentials (user_name, kind, created);

CREATE TABLE console_audit (
	id            BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at            BIGINT  NOT NULL,  -- Unix microseconds
	user_name     TEXT    COLLATE "C" NOT NULL,
	address       TEXT    COLLATE "C" NOT NULL,
	operation     TEXT    COLLATE "C" NOT NULL,
	detail        TEXT    COLLATE "C" NOT NULL,
	outcome       TEXT    COLLATE "C" NOT NULL
);
CREATE INDEX console_audit_by_user ON console_audit (user_name, id);
CREATE INDEX console_audit_by_time ON console_audit (at);
