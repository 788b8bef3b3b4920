-- Rows of received reports, packed by day (the store's received_block.go has the form).
-- What stands in received_rows is packed by a step of Go, which drops that table.
CREATE TABLE received_blocks (
	day           INTEGER NOT NULL,
	number        INTEGER NOT NULL,  -- within the day
	records       INTEGER NOT NULL,  -- rows in it, a segment without any counted as one
	first_report  INTEGER NOT NULL,  -- the least and the greatest in it
	last_report   INTEGER NOT NULL,
	body          BLOB    NOT NULL,
	PRIMARY KEY (day, number)
) STRICT;

-- What stays of days whose rows retention has removed.
CREATE TABLE received_rollup_days (
	day           INTEGER PRIMARY KEY,
	body          BLOB    NOT NULL
) STRICT;

-- Reports are found again by day and key, which then lie together; what is counted is
-- read from blocks.
DROP INDEX received_reports_by_domain;
DROP INDEX received_reports_by_day;
CREATE INDEX received_reports_by_day ON received_reports (day);
CREATE INDEX received_reports_by_domain ON received_reports (domain, received, id);
CREATE INDEX received_reports_attention ON received_reports (day)
	WHERE status = 'stored' AND counts = 0 OR status = 'differs' OR quarantined > 0 OR status = 'refused';

-- All reports with a row on another day than their own, not only those that share a row
-- out.
UPDATE received_reports SET spread = 1 WHERE spread = 0 AND EXISTS (
	SELECT 1 FROM received_rows r WHERE r.report = received_reports.id AND r.day <> received_reports.day);
UPDATE received_reports SET report_key = unhex(printf('%08x', day & 4294967295) || substr(hex(report_key), 9));
