-- What machines do by themselves.

-- When auto-snapshots were switched on, or their frequency was last changed: their slots are counted from there.
ALTER TABLE machines ADD COLUMN auto_snapshot_since BIGINT;
