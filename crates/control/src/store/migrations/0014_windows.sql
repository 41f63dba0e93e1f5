-- What spans the end of a window that is long ago is found by when it began, without what ended since.
CREATE INDEX usage_records_of_team_by_begin ON usage_records (team_id, dt_from, number, dt_to);
CREATE INDEX usage_records_of_user_by_begin ON usage_records (team_id, user_id, dt_from, number, dt_to);
CREATE INDEX usage_records_of_machine_by_begin ON usage_records (machine_id, dt_from, number, dt_to);
