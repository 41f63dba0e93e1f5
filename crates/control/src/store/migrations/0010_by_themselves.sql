-- What machines do by themselves.

-- When auto-snapshots were switched on, or their frequency was last changed: their slots are counted from there.
ALTER TABLE machines ADD COLUMN auto_snapshot_since BIGINT;
-- It was seen with its power on since it was last settled off: only then a shutdown takes its disk back.
ALTER TABLE machines ADD COLUMN powered BOOLEAN NOT NULL DEFAULT FALSE;
