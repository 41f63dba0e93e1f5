-- Networks in both dialects, machines that move between them, claimed addresses, shared drives, firewall
-- rules, quotas, sessions, and protection against deletion.

-- The /21 that a network owns, of which `cidr` is the /24 in use. Both begin at the same address.
ALTER TABLE private_networks ADD COLUMN parent_cidr TEXT NOT NULL DEFAULT '';
UPDATE private_networks SET parent_cidr = REPLACE(cidr, '/24', '/21');
CREATE UNIQUE INDEX one_parent_cidr ON private_networks (team_id, parent_cidr) WHERE dt_deleted IS NULL;
ALTER TABLE private_networks ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
-- Whether its host has had it, whole: it is not being made any more.
ALTER TABLE private_networks ADD COLUMN made BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE private_networks SET made = settled;

-- How many orders a machine has had: what a visit found counts only if there was none since.
ALTER TABLE machines ADD COLUMN orders BIGINT NOT NULL DEFAULT 0;
ALTER TABLE machines ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
-- The network that it is to move to once it is unplugged from its own, and its address there.
ALTER TABLE machines ADD COLUMN moving_to TEXT REFERENCES private_networks (id);
ALTER TABLE machines ADD COLUMN moving_ip BIGINT;
CREATE UNIQUE INDEX machines_by_next_address ON machines (moving_to, moving_ip)
    WHERE dt_deleted IS NULL AND moving_to IS NOT NULL;
CREATE INDEX machines_without_network ON machines (team_id, region, id)
    WHERE dt_deleted IS NULL AND network_id IS NULL;

-- An address is claimed by a team, or held for a machine while that is on, or free.
ALTER TABLE public_ips ADD COLUMN team_id TEXT REFERENCES teams (id);
ALTER TABLE public_ips ADD COLUMN region TEXT;
ALTER TABLE public_ips ADD COLUMN dt_created BIGINT;   -- when it was claimed
ALTER TABLE public_ips ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX public_ips_by_created ON public_ips (team_id, dt_created, ip) WHERE team_id IS NOT NULL;
CREATE INDEX public_ips_by_region ON public_ips (team_id, region, dt_created, ip) WHERE team_id IS NOT NULL;
DROP INDEX public_ips_by_machine;   -- it would be taken for the search of a free one, past all that lead nowhere
CREATE INDEX public_ips_free ON public_ips (ip) WHERE team_id IS NULL AND machine_id IS NULL;
-- An address that was taken from a machine, as long as its host may still lead it there.
CREATE TABLE public_ips_leaving (
    machine_id TEXT NOT NULL REFERENCES machines (id),
    ip BIGINT NOT NULL REFERENCES public_ips (ip),
    PRIMARY KEY (machine_id, ip)
);
CREATE INDEX public_ips_leaving_by_ip ON public_ips_leaving (ip, machine_id);

CREATE TABLE shared_drives (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    network_id TEXT NOT NULL REFERENCES private_networks (id),
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    region TEXT NOT NULL,
    size_gib BIGINT NOT NULL CHECK (size_gib > 0),
    username TEXT NOT NULL,
    password BLOB NOT NULL,               -- sealed
    password_number BIGINT NOT NULL,      -- from 1; each rotation raises it
    protected BOOLEAN NOT NULL DEFAULT FALSE,
    intent TEXT NOT NULL CHECK (intent IN ('present', 'gone')),
    settled BOOLEAN NOT NULL,
    orders BIGINT NOT NULL,               -- what a visit found counts only if there was none since
    made_gib BIGINT NOT NULL,             -- how large its host's image is known to be; 0 until it is made
    trouble TEXT,                         -- why its last visit failed, until one succeeds
    trouble_lasts BOOLEAN NOT NULL,       -- whether trying again is of no use
    dt_trouble BIGINT,
    dt_created BIGINT NOT NULL,
    dt_deleted BIGINT,
    forgotten BOOLEAN NOT NULL DEFAULT FALSE   -- nothing of it is on the host any more
);
CREATE INDEX shared_drives_by_created ON shared_drives (team_id, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX shared_drives_by_name ON shared_drives (team_id, name, id) WHERE dt_deleted IS NULL;
CREATE INDEX shared_drives_by_region ON shared_drives (team_id, region, dt_created, id) WHERE dt_deleted IS NULL;
CREATE INDEX shared_drives_by_network ON shared_drives (network_id, id) WHERE NOT forgotten;
CREATE INDEX shared_drives_to_visit ON shared_drives (id) WHERE NOT forgotten;
CREATE INDEX shared_drives_to_make ON shared_drives (id) WHERE intent = 'present' AND size_gib > made_gib;

CREATE TABLE firewall_rules (
    id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT NOT NULL REFERENCES teams (id),
    network_id TEXT REFERENCES private_networks (id),
    machine_id TEXT REFERENCES machines (id),
    direction TEXT NOT NULL,
    protocol TEXT NOT NULL,
    port_from BIGINT,
    port_to BIGINT,
    cidr TEXT NOT NULL,
    description TEXT,
    dt_created BIGINT NOT NULL,
    CHECK ((network_id IS NULL) <> (machine_id IS NULL))
);
CREATE INDEX firewall_rules_by_created ON firewall_rules (team_id, dt_created, id);
CREATE INDEX firewall_rules_by_network ON firewall_rules (team_id, network_id, dt_created, id) WHERE network_id IS NOT NULL;
CREATE INDEX firewall_rules_by_machine ON firewall_rules (team_id, machine_id, dt_created, id) WHERE machine_id IS NOT NULL;

-- What a team may have at most. What is not listed has no limit.
CREATE TABLE quotas (
    team_id TEXT NOT NULL REFERENCES teams (id),
    noun TEXT NOT NULL,                   -- machines, private-networks, public-ips, shared-drives, shared-drives-gb, gpus/MODEL
    most BIGINT NOT NULL CHECK (most >= 0),
    PRIMARY KEY (team_id, noun)
);

-- Sessions of dashboards: a cookie that stands for an API key for some hours.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,            -- BLAKE3 of the cookie, in hex; the cookie itself is not kept
    api_key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    dt_created BIGINT NOT NULL,
    dt_expires BIGINT NOT NULL
);
CREATE INDEX sessions_by_key ON sessions (api_key_id, dt_created, id);
CREATE INDEX sessions_by_end ON sessions (dt_expires);
