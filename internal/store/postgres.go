package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Times of a connection to PostgreSQL. The URL overrides those that are settings
// of the server.
const (
	postgresConnect   = 5 * time.Second
	postgresStatement = 30 * time.Second
	postgresLock      = 10 * time.Second // waiting for another's row
	postgresIdle      = time.Minute      // within a transaction: ours are never idle for long

	// Silence after which either end takes a connection for dead: 10 s without
	// data, then 3 questions 5 s apart.
	keepIdle, keepInterval, keepCount = 10 * time.Second, 5 * time.Second, 3
	// userTimeout is how long sent data may stay unconfirmed.
	userTimeout = 20 * time.Second

	postgresMaxRows = 512 // of one INSERT: 65535 arguments are the protocol's limit
)

// newPostgres describes the database of the URL.
func newPostgres(cfg Config) (*dialect, error) {
	conf, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		// The error of pgx may quote what it cannot read, a password too.
		return nil, fmt.Errorf("%w: store is no URL that can be read; write postgres://USER@HOST/DATABASE, and the password into a file that store_password_file names", ErrConfig)
	}
	if cfg.PasswordFile != "" {
		if _, err := os.ReadFile(absolute(cfg.Dir, cfg.PasswordFile)); err != nil {
			return nil, fmt.Errorf("%w: store_password_file: %w", ErrConfig, err)
		}
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = postgresConnect
	}
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount},
		Control:         setUserTimeout,
	}
	conf.DialFunc = dialer.DialContext
	setDefaults(conf.RuntimeParams, map[string]string{
		"application_name":                    "dmarcd",
		"statement_timeout":                   milliseconds(postgresStatement),
		"lock_timeout":                        milliseconds(postgresLock),
		"idle_in_transaction_session_timeout": milliseconds(postgresIdle),
		"synchronous_commit":                  "on", // the journal deletes what is loaded
	})
	return &dialect{
		name: "postgres", shared: true, maxRows: postgresMaxRows,
		tables: `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`,
		columns:    `SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 'migrations'`,
		forUpdate:  " FOR UPDATE",
		forShare:   " FOR SHARE",
		byIndex:    `SET LOCAL enable_seqscan = off`,
		open:       func(ctx context.Context) (*sql.DB, *sql.DB, error) { return openPostgres(ctx, cfg, conf) },
		lockSchema: lockSchemaPostgres,
		guard:      guardPostgres,
		size:       postgresSize,
		giveBack:   func(context.Context, *Store) error { return nil }, // autovacuum does it
		lead:       func(ctx context.Context, s *Store) error { return s.leadShared(ctx, conf) },
	}, nil
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

func setDefaults(params, defaults map[string]string) {
	for name, value := range defaults {
		if _, set := params[name]; !set {
			params[name] = value
		}
	}
}

// openPostgres makes the pool, and one connection to see whether there is anybody.
func openPostgres(ctx context.Context, cfg Config, conf *pgx.ConnConfig) (writer, reader *sql.DB, err error) {
	db := stdlib.OpenDB(*conf, stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
		return readPassword(cfg, c)
	}))
	db.SetMaxOpenConns(cfg.Connections)
	db.SetMaxIdleConns(max(cfg.Connections/2, 1))
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	if err := db.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(wrap(ctx, "connect", err), db.Close())
	}
	return db, db, nil
}

// readPassword puts the file's password into c.
func readPassword(cfg Config, c *pgx.ConnConfig) error {
	if cfg.PasswordFile == "" {
		return nil
	}
	b, err := os.ReadFile(absolute(cfg.Dir, cfg.PasswordFile))
	if err != nil {
		return fmt.Errorf("%w: store_password_file: %w", ErrUnavailable, err)
	}
	c.Password = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return nil
}

// schemaKey is the advisory lock that migrations hold, and writes share: one for
// each schema of a database.
const schemaKey = `hashtextextended('dmarcd schema ' || current_schema(), 0)`

// errNoSchema: there is nowhere to make the tables.
var errNoSchema = fmt.Errorf("%w: no schema of the search_path exists in this database, or the user may use none; as the owner of the database: CREATE SCHEMA, and GRANT USAGE, CREATE ON it to the user", ErrUnavailable)

func lockSchemaPostgres(ctx context.Context, tx *sql.Tx) error {
	// Others' writes are short, another's migration may take its time.
	if _, err := tx.ExecContext(ctx, `SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0`); err != nil {
		return err
	}
	var schema sql.NullString
	if err := tx.QueryRowContext(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return err
	}
	if !schema.Valid {
		return errNoSchema
	}
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(`+schemaKey+`)`)
	return err
}

func guardPostgres(ctx context.Context, s *Store, t *tx) error {
	if _, err := t.sql.ExecContext(ctx, `SELECT pg_advisory_xact_lock_shared(`+schemaKey+`)`); err != nil {
		return err
	}
	return s.refuseNewer(ctx, t.sql)
}
