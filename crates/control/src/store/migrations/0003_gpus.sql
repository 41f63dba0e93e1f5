-- The GPUs of the host, and the machine that each is given to. One host serves every region, so an address
-- is one device's.
CREATE TABLE gpus (
    address TEXT NOT NULL PRIMARY KEY,    -- on the PCI bus
    model TEXT NOT NULL,
    memory_bytes BIGINT,
    numa_node BIGINT,
    machine_id TEXT REFERENCES machines (id),
    team_id TEXT REFERENCES teams (id),   -- the machine's
    quarantined TEXT,                     -- why it is given to nobody until an operator says so
    dt_quarantined BIGINT,
    CHECK ((machine_id IS NULL) = (team_id IS NULL)),
    CHECK ((quarantined IS NULL) = (dt_quarantined IS NULL))
);
CREATE INDEX gpus_by_machine ON gpus (machine_id) WHERE machine_id IS NOT NULL;
