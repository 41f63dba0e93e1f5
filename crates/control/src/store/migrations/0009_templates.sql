-- Templates of both kinds: those of operating systems, and those that teams make of their machines' disks.

ALTER TABLE os_templates RENAME TO templates;

-- Of a custom template; all are null of one of an operating system. Its machine may be forgotten before it.
ALTER TABLE templates ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE templates ADD COLUMN region TEXT;
ALTER TABLE templates ADD COLUMN parent_machine_id TEXT;
ALTER TABLE templates ADD COLUMN family TEXT;
-- What its machine's visits have to do about it: make its image, say that its event is done, remove what is
-- there of it. Nothing once its event has ended.
ALTER TABLE templates ADD COLUMN capture TEXT CHECK (capture IN ('wanted', 'made', 'given up'));

DROP INDEX os_templates_by_name;
CREATE INDEX os_templates_by_name ON templates (name, id)
    WHERE team_id IS NULL AND dt_deleted IS NULL AND ready;
CREATE INDEX custom_templates_by_created ON templates (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX custom_templates_by_name ON templates (team_id, name, id) WHERE dt_deleted IS NULL;
CREATE INDEX custom_templates_by_machine ON templates (team_id, parent_machine_id, dt_created, id)
    WHERE dt_deleted IS NULL;
CREATE INDEX custom_templates_by_machine_name ON templates (team_id, parent_machine_id, name, id)
    WHERE dt_deleted IS NULL;
CREATE INDEX templates_in_capture ON templates (parent_machine_id, dt_created, id) WHERE capture IS NOT NULL;
CREATE INDEX templates_to_remove ON templates (id) WHERE dt_deleted IS NOT NULL AND ready;
CREATE INDEX templates_unready ON templates (id) WHERE dt_deleted IS NULL AND NOT ready;
CREATE INDEX templates_on_hosts ON templates (id) WHERE team_id IS NOT NULL AND (ready OR capture IS NOT NULL);

-- The machines whose disks are still to begin as a template.
CREATE INDEX machines_awaiting_disks ON machines (template_id) WHERE NOT disk_made AND dt_deleted IS NULL;
