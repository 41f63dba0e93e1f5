-- A machine's whole life: snapshots and restores, changes of type and size, what is done by itself at a
-- time, and desktops.

-- A snapshot of a machine's disk. It goes with the disk.
CREATE TABLE snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    machine_id TEXT NOT NULL REFERENCES machines (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('manual', 'initial', 'auto')),
    intent TEXT NOT NULL CHECK (intent IN ('present', 'gone')),
    made BOOLEAN NOT NULL,                -- its disk has it
    at_rest TEXT,                         -- what the disk was when it was taken, of a machine that was off
    dt_created BIGINT NOT NULL,
    dt_deleted BIGINT
);
CREATE INDEX snapshots_by_created ON snapshots (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX snapshots_by_name ON snapshots (team_id, name, id) WHERE dt_deleted IS NULL;
CREATE INDEX snapshots_by_machine ON snapshots (machine_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX snapshots_by_machine_name ON snapshots (machine_id, name, id) WHERE dt_deleted IS NULL;

-- The restores of a machine's disk are counted. The disk knows the number of the last one that is finished.
ALTER TABLE machines ADD COLUMN restores_wanted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE machines ADD COLUMN restores_begun BIGINT NOT NULL DEFAULT 0;
ALTER TABLE machines ADD COLUMN restore_to TEXT;   -- one of its snapshots, which refer to it already
-- What it is to be after a change that is under way.
ALTER TABLE machines ADD COLUMN next_machine_type TEXT;
ALTER TABLE machines ADD COLUMN next_disk_gib BIGINT;

ALTER TABLE machines ADD COLUMN auto_shutdown_enabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE machines ADD COLUMN auto_shutdown_hours BIGINT;
ALTER TABLE machines ADD COLUMN auto_shutdown_force BOOLEAN;
ALTER TABLE machines ADD COLUMN stop_forced BOOLEAN NOT NULL DEFAULT FALSE;   -- its power is cut without asking the guest
ALTER TABLE machines ADD COLUMN auto_snapshot_enabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE machines ADD COLUMN auto_snapshot_frequency TEXT;
ALTER TABLE machines ADD COLUMN auto_snapshot_save_count BIGINT;
ALTER TABLE machines ADD COLUMN auto_snapshot_due BIGINT;     -- the next slot
ALTER TABLE machines ADD COLUMN restore_point_enabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE machines ADD COLUMN restore_point_snapshot_id TEXT;   -- one of its snapshots
ALTER TABLE machines ADD COLUMN desktop_password BLOB;        -- sealed; new at each power-on
ALTER TABLE machines ADD COLUMN desktop_address TEXT;         -- where its host shows it
