-- How rows that are not needed any more are found, oldest first, and how what refers to them is.
--
-- Rows of objects that clients know are kept for `limits.deleted_days` after deletion, and then deleted. So
-- an id is not used again while its row is there: to take one that is, is an error. After that an id may be
-- drawn again, with the chance of any other: one in 36^8, 2.8 * 10^12. With a million forgotten ids a new one
-- is among them once in 2.8 million. Nothing is left that refers to a forgotten one: not a row, not a host.
CREATE INDEX machine_events_by_end ON machine_events (dt_finished) WHERE dt_finished IS NOT NULL;
CREATE INDEX startup_script_runs_by_age ON startup_script_runs (dt_created);
CREATE INDEX machines_by_end ON machines (dt_deleted) WHERE dt_deleted IS NOT NULL;
CREATE INDEX shared_drives_by_end ON shared_drives (dt_deleted) WHERE forgotten;
CREATE INDEX private_networks_by_end ON private_networks (dt_deleted) WHERE forgotten;
CREATE INDEX startup_scripts_by_end ON startup_scripts (dt_deleted) WHERE dt_deleted IS NOT NULL;
CREATE INDEX os_templates_by_end ON os_templates (dt_deleted) WHERE dt_deleted IS NOT NULL;

-- What refers to a row is looked for before it is deleted, and once more by the database. Other indexes over
-- these columns leave deleted rows out.
CREATE INDEX machines_of_template ON machines (template_id);
CREATE INDEX machines_of_network ON machines (network_id, dt_deleted) WHERE network_id IS NOT NULL;
CREATE INDEX machines_of_next_network ON machines (moving_to, dt_deleted) WHERE moving_to IS NOT NULL;
CREATE INDEX machines_of_script ON machines (startup_script_id, dt_deleted) WHERE startup_script_id IS NOT NULL;
CREATE INDEX shared_drives_of_network ON shared_drives (network_id, dt_deleted);
CREATE INDEX firewall_rules_of_network ON firewall_rules (network_id) WHERE network_id IS NOT NULL;
CREATE INDEX firewall_rules_of_machine ON firewall_rules (machine_id) WHERE machine_id IS NOT NULL;
