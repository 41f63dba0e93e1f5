-- Teams, their keys, and machines with all that machines need.
--
-- Written for SQLite and PostgreSQL. Times are microseconds since 1970. Rows of objects that clients
-- know are kept for a while after deletion (dt_deleted; see 0007_retention); lists read the indexes over the
-- rows that are not deleted.

-- One row: a known text, sealed. It opens under the key that everything else is sealed with.
CREATE TABLE seal_proof (
    proof BLOB NOT NULL
);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,        -- the analyticsId of sessions
    name TEXT NOT NULL,
    namespace TEXT NOT NULL UNIQUE,
    dt_created BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,        -- the analyticsId of sessions
    email TEXT NOT NULL UNIQUE,
    dt_created BIGINT NOT NULL
);

CREATE TABLE members (
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    PRIMARY KEY (team_id, user_id)
);
CREATE UNIQUE INDEX one_owner ON members (team_id) WHERE role = 'owner';
CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,            -- BLAKE3 of the key, in hex; the key itself is not kept
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,                 -- a JSON list; empty is everything
    dt_created BIGINT NOT NULL,
    FOREIGN KEY (team_id, user_id) REFERENCES members (team_id, user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_member ON api_keys (team_id, user_id);

CREATE TABLE idempotency (
    api_key_id TEXT NOT NULL,
    path TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    answer BLOB NOT NULL,                 -- sealed: answers can carry passwords
    dt_created BIGINT NOT NULL,
    PRIMARY KEY (api_key_id, path, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (dt_created);

CREATE TABLE ssh_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    dt_created BIGINT NOT NULL
);
CREATE INDEX ssh_keys_by_created ON ssh_keys (user_id, dt_created, id);
CREATE INDEX ssh_keys_by_name ON ssh_keys (user_id, name, id);

CREATE TABLE os_templates (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    agent_type TEXT NOT NULL,
    operating_system_label TEXT NOT NULL,
    has_agent BOOLEAN NOT NULL,
    size_bytes BIGINT NOT NULL,
    ready BOOLEAN NOT NULL,               -- false while its image is being taken in, and once it is removed
    dt_created BIGINT NOT NULL,
    dt_deleted BIGINT
);
CREATE INDEX os_templates_by_name ON os_templates (name, id) WHERE dt_deleted IS NULL AND ready;

-- A network's /21 is slot * 2^11 addresses into the pool.
CREATE TABLE network_slots (
    slot BIGINT NOT NULL PRIMARY KEY,
    network_id TEXT
);
CREATE INDEX network_slots_by_network ON network_slots (network_id, slot);
CREATE UNIQUE INDEX one_slot ON network_slots (network_id) WHERE network_id IS NOT NULL;

CREATE TABLE private_networks (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    region TEXT NOT NULL,
    cidr TEXT NOT NULL,                   -- the /24 in use
    intent TEXT NOT NULL CHECK (intent IN ('present', 'gone')),
    settled BOOLEAN NOT NULL,
    trouble TEXT,                         -- why its last visit failed, until one succeeds
    trouble_lasts BOOLEAN NOT NULL,       -- whether trying again is of no use
    dt_trouble BIGINT,
    dt_created BIGINT NOT NULL,
    dt_deleted BIGINT,
    forgotten BOOLEAN NOT NULL DEFAULT FALSE   -- nothing of it is on the host any more
);
CREATE INDEX private_networks_by_created ON private_networks (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX private_networks_by_name ON private_networks (team_id, name, id) WHERE dt_deleted IS NULL;
CREATE INDEX private_networks_by_region ON private_networks (team_id, region, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX private_networks_to_visit ON private_networks (id) WHERE NOT forgotten;

CREATE TABLE startup_scripts (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    script BLOB NOT NULL,                 -- sealed: scripts carry tokens and passwords
    is_enabled BOOLEAN NOT NULL,
    is_run_once BOOLEAN NOT NULL,
    dt_created BIGINT NOT NULL,
    dt_deleted BIGINT
);
CREATE INDEX startup_scripts_by_created ON startup_scripts (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX startup_scripts_by_name ON startup_scripts (team_id, name, id) WHERE dt_deleted IS NULL;

CREATE TABLE machines (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    region TEXT NOT NULL,
    machine_type TEXT NOT NULL,
    template_id TEXT NOT NULL REFERENCES os_templates (id),
    agent_type TEXT NOT NULL,
    os TEXT NOT NULL,
    disk_gib BIGINT NOT NULL CHECK (disk_gib > 0),
    storage_used BIGINT NOT NULL,
    network_id TEXT REFERENCES private_networks (id),
    private_ip BIGINT NOT NULL,
    mac TEXT NOT NULL,
    public_ip_type TEXT NOT NULL,
    public_ip BIGINT,                     -- the one it holds now
    startup_script_id TEXT REFERENCES startup_scripts (id),
    script_served BOOLEAN NOT NULL,       -- a once-only script has run here
    intent TEXT NOT NULL CHECK (intent IN ('on', 'off', 'blank', 'gone')),
    settled BOOLEAN NOT NULL,
    boots_wanted BIGINT NOT NULL,
    ready_boot BIGINT,                    -- the one that is on now, once its guest was ready
    disk_made BOOLEAN NOT NULL,           -- what holds users' bytes is made once
    named BOOLEAN NOT NULL,               -- its network knows the names that it is to have there
    placed BOOLEAN NOT NULL,              -- its memory and processors are taken on its host
    shown_state TEXT NOT NULL,
    pressed_first BIGINT,                 -- when its power button was pressed, since it was started
    pressed_last BIGINT,
    failing_since BIGINT,
    failures BIGINT NOT NULL,
    trouble TEXT,
    dt_created BIGINT NOT NULL,
    dt_modified BIGINT NOT NULL,
    dt_deleted BIGINT
);
CREATE INDEX machines_by_created ON machines (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_by_name ON machines (team_id, name, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_by_state ON machines (team_id, shown_state, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_by_region ON machines (team_id, region, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_by_type ON machines (team_id, machine_type, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_by_agent ON machines (team_id, agent_type, dt_created, id) WHERE dt_deleted IS NULL;
CREATE UNIQUE INDEX machines_by_address ON machines (network_id, private_ip)
    WHERE dt_deleted IS NULL AND network_id IS NOT NULL;
CREATE INDEX machines_by_namesake ON machines (network_id, name_folded, dt_created, id)
    WHERE dt_deleted IS NULL AND network_id IS NOT NULL;
CREATE INDEX machines_by_script ON machines (startup_script_id, id) WHERE dt_deleted IS NULL;
CREATE INDEX machines_placed ON machines (region, machine_type) WHERE placed;
CREATE INDEX machines_to_visit ON machines (id) WHERE dt_deleted IS NULL;

CREATE TABLE machine_events (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL,
    machine_id TEXT,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'in progress', 'done', 'error', 'cancelled')),
    error TEXT,
    dt_created BIGINT NOT NULL,
    dt_started BIGINT,
    dt_finished BIGINT
);
CREATE INDEX machine_events_by_created ON machine_events (team_id, dt_created, id);
CREATE INDEX machine_events_by_machine ON machine_events (team_id, machine_id, dt_created, id);
CREATE UNIQUE INDEX one_open_event ON machine_events (machine_id) WHERE state IN ('new', 'in progress');

-- Public addresses that were ever taken from a pool. A free one is taken again first.
CREATE TABLE public_ips (
    ip BIGINT NOT NULL PRIMARY KEY,
    machine_id TEXT
);
CREATE INDEX public_ips_by_machine ON public_ips (machine_id, ip);
CREATE UNIQUE INDEX one_public_ip ON public_ips (machine_id) WHERE machine_id IS NOT NULL;
