-- Desktops: which boot of a machine its password is for.
ALTER TABLE machines ADD COLUMN desktop_boot BIGINT;
