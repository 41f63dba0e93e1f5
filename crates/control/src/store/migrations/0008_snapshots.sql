-- It was given up before it was taken: it is not shown any more, and its row goes once nothing of it is left.
ALTER TABLE snapshots ADD COLUMN given_up BOOLEAN NOT NULL DEFAULT FALSE;
-- Nothing of it is left: its row goes, and with it what is shown, when its machine settles.
ALTER TABLE snapshots ADD COLUMN removed BOOLEAN NOT NULL DEFAULT FALSE;
-- The pages of one machine's snapshots.
CREATE INDEX snapshots_of_team_machine ON snapshots (team_id, machine_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX snapshots_of_team_machine_by_name ON snapshots (team_id, machine_id, name, id) WHERE dt_deleted IS NULL;

-- Old rows, and what refers to them.
CREATE INDEX snapshots_by_end ON snapshots (dt_deleted) WHERE dt_deleted IS NOT NULL;
CREATE INDEX snapshots_of_machine ON snapshots (machine_id);
