-- Metering: what was billed of each object, from when to when; sums of months; and spend caps.

-- An interval in which one thing was billed at one price. A price is in nano-units (10^-9 of a currency unit)
-- per hour for machines, per month of 730 hours for an address, and per GB and such a month for the rest.
CREATE TABLE usage_records (
    number BIGINT NOT NULL PRIMARY KEY,   -- one more than the largest so far
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('machine', 'storage', 'address', 'drive')),
    object_id TEXT NOT NULL,              -- a machine, the machine whose disk it is, an address, a drive
    machine_id TEXT,                      -- the machine that it is a part of, and goes with
    machine_type TEXT,
    gpus BIGINT NOT NULL,
    size_gib BIGINT NOT NULL,             -- 0 for what has no size
    price_nano BIGINT NOT NULL CHECK (price_nano >= 0),
    dt_from BIGINT NOT NULL,
    dt_to BIGINT CHECK (dt_to >= dt_from) -- NULL while it is open
);
CREATE UNIQUE INDEX one_open_usage_record ON usage_records (kind, object_id) WHERE dt_to IS NULL;
CREATE INDEX usage_records_by_team ON usage_records (team_id, dt_to, number);
CREATE INDEX usage_records_by_user ON usage_records (team_id, user_id, dt_to, number);
CREATE INDEX usage_records_by_machine ON usage_records (machine_id, dt_to, number);
CREATE INDEX usage_records_by_end ON usage_records (dt_to, number);

-- What the closed intervals of a user in a team came to in each calendar month (UTC).
CREATE TABLE usage_months (
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    dt_month BIGINT NOT NULL,             -- its first moment
    amount_nano BIGINT NOT NULL,
    PRIMARY KEY (team_id, dt_month, user_id)
);

-- What may be spent in a calendar month (UTC) before creates and starts are refused.
CREATE TABLE spend_caps (
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL,                -- empty: the whole team
    amount_nano BIGINT NOT NULL CHECK (amount_nano >= 0),
    PRIMARY KEY (team_id, user_id)
);
