-- A boot that is done again may carry another script: the runs of both are kept.
DROP INDEX one_run_a_boot;
CREATE INDEX runs_by_boot ON startup_script_runs (machine_id, boot, dt_created);
