-- How much keys are used, and what is noticed at most once a minute.

-- No foreign key: what a key did stays when the key is gone, under the id that it had.
CREATE TABLE keywright.key_usage (
    key        bigint      NOT NULL,
    hour       timestamptz NOT NULL,
    outcome    text        NOT NULL, -- ALLOWED, or the reason of a denial
    count      bigint      NOT NULL,
    workspace  bigint      NOT NULL,
    key_id     text        COLLATE "C" NOT NULL,
    CONSTRAINT key_usage_pkey PRIMARY KEY (key, hour, outcome),
    CONSTRAINT key_usage_hour_is_full CHECK (extract(epoch FROM hour)::bigint % 3600 = 0),
    CONSTRAINT key_usage_count_positive CHECK (count > 0)
) WITH (fillfactor = 80); -- counts rise in place, and no index has to know
-- Queries go through a workspace by the hour, and what is too old is looked for in the same way.
CREATE INDEX key_usage_in_order ON keywright.key_usage (workspace, hour, key_id);

-- When something that may happen any number of times was last put into the audit trail.
CREATE TABLE keywright.notice (
    subject      bytea       NOT NULL, -- a digest of what is noticed: of the same, the same
    notice_time  timestamptz NOT NULL,
    CONSTRAINT notice_pkey PRIMARY KEY (subject)
);
CREATE INDEX notice_by_time ON keywright.notice (notice_time);
