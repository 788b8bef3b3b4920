-- Counts for reports are aggregates, as the reports themselves.
ALTER TABLE tallies RENAME TO aggregates;
ALTER TABLE suppressions RENAME COLUMN strikes TO automatic_count;
