-- Who may use a machine, and what came of startup scripts.

-- A member that leaves the team loses its access with its place there.
CREATE TABLE accessors (
    machine_id TEXT NOT NULL REFERENCES machines (id),
    user_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    dt_created BIGINT NOT NULL,
    PRIMARY KEY (machine_id, user_id),
    FOREIGN KEY (team_id, user_id) REFERENCES members (team_id, user_id) ON DELETE CASCADE
);
CREATE INDEX accessors_by_member ON accessors (team_id, user_id, machine_id);

-- Scripts that machines became ready with: one that is to run once is not served to them again.
CREATE TABLE startup_scripts_served (
    machine_id TEXT NOT NULL REFERENCES machines (id),
    script_id TEXT NOT NULL REFERENCES startup_scripts (id),
    PRIMARY KEY (machine_id, script_id)
);
CREATE INDEX startup_scripts_served_by_script ON startup_scripts_served (script_id, machine_id);
INSERT INTO startup_scripts_served (machine_id, script_id)
    SELECT id, startup_script_id FROM machines
    WHERE script_served AND startup_script_id IS NOT NULL AND dt_deleted IS NULL;
ALTER TABLE machines DROP COLUMN script_served;

-- The last runs of each script on each machine.
CREATE TABLE startup_script_runs (
    id TEXT NOT NULL PRIMARY KEY,
    machine_id TEXT NOT NULL REFERENCES machines (id),
    script_id TEXT NOT NULL REFERENCES startup_scripts (id),
    boot BIGINT NOT NULL,                 -- the start of the machine that carried the script
    exit_status BIGINT,                   -- once it was seen
    output BLOB,                          -- sealed: scripts print tokens and passwords
    dt_created BIGINT NOT NULL,
    dt_finished BIGINT
);
CREATE UNIQUE INDEX one_run_a_boot ON startup_script_runs (machine_id, boot);
CREATE INDEX startup_script_runs_by_created ON startup_script_runs (script_id, dt_created, id);
CREATE INDEX startup_script_runs_by_machine ON startup_script_runs (script_id, machine_id, dt_created, id);
