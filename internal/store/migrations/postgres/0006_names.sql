-- Counts for reports are aggregates, as the reports themselves.
ALTER TABLE tallies RENAME TO aggregates;
ALTER INDEX tallies_pkey RENAME TO aggregates_pkey;
ALTER TABLE suppressions RENAME COLUMN strikes TO automatic_count;
