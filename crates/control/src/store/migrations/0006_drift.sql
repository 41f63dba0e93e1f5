-- Work on machines that nobody has ordered.

-- An event that mends what a host has lost: where it fails, the machine is still wanted as before.
ALTER TABLE machine_events ADD COLUMN unordered BOOLEAN NOT NULL DEFAULT FALSE;
