-- The audit trail: months, and seals that chain what was committed (docs/audit-trail).

ALTER TABLE keywright.audit_event
    -- Events are named by their id; the month has to be part of the key.
    DROP CONSTRAINT audit_event_pkey,
    ADD CONSTRAINT audit_event_pkey PRIMARY KEY (id, create_time),
    -- The seal that covers it, in the chain of its workspace; null while there is none.
    ADD COLUMN seal bigint,
    ADD CONSTRAINT audit_event_seal_positive CHECK (seal > 0),
    -- Times that every calendar has: one that cannot be read would stop who reads the others.
    ADD CONSTRAINT audit_event_times_readable CHECK (
        create_time >= '0001-01-01 00:00Z' AND create_time < '10000-01-01 00:00Z'
        AND first_time >= '0001-01-01 00:00Z' IS NOT FALSE
        AND first_time < '10000-01-01 00:00Z' IS NOT FALSE
    );

-- Each index costs every mutation. Partial ones cost only what they hold.
DROP INDEX keywright.audit_event_by_resource;
CREATE INDEX audit_event_by_resource
    ON keywright.audit_event (workspace_id, resource COLLATE "C", create_time, id);
CREATE INDEX audit_event_by_actor ON keywright.audit_event (workspace_id, actor, create_time, id);
CREATE INDEX audit_event_by_credential
    ON keywright.audit_event (workspace_id, credential, create_time, id);
CREATE INDEX audit_event_unsealed ON keywright.audit_event (id) WHERE seal IS NULL;
CREATE INDEX audit_event_by_seal ON keywright.audit_event (workspace_id, seal, id)
    WHERE seal IS NOT NULL;
CREATE INDEX audit_event_of_removal ON keywright.audit_event (workspace_id, id)
    WHERE action = 'RemoveAuditEvents';

-- Give the month that begins on that day (UTC) a partition of its own, with what the default one
-- has of it. By ATTACH, because CREATE ... PARTITION OF would stop everybody who reads or writes.
CREATE FUNCTION keywright.add_audit_partition(month date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    name   text := 'audit_event_' || to_char(month, 'YYYY_MM');
    bounds text := format('FROM (%L) TO (%L)', month::timestamp AT TIME ZONE 'UTC',
                          (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass('keywright.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    LOCK TABLE keywright.audit_event_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE keywright.%I (LIKE keywright.audit_event'
                   ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('WITH moved AS (DELETE FROM keywright.audit_event_default'
                   ' WHERE date_trunc(''month'', create_time, ''UTC'') = %L RETURNING *)'
                   ' INSERT INTO keywright.%I SELECT * FROM moved',
                   month::timestamp AT TIME ZONE 'UTC', name);
    EXECUTE format('ALTER TABLE keywright.audit_event ATTACH PARTITION keywright.%I'
                   ' FOR VALUES %s', name, bounds);
END $$;

-- The months that have events, this one and the next two. Events of clocks gone astray, further
-- ahead, stay in the default partition.
DO $$
DECLARE
    this   date := date_trunc('month', now() AT TIME ZONE 'UTC');
    months date[] := ARRAY(
        SELECT DISTINCT date_trunc('month', create_time AT TIME ZONE 'UTC')::date
        FROM keywright.audit_event
        UNION SELECT (this + make_interval(months => ahead))::date FROM generate_series(0, 2) AS ahead
    );
    month  date;
BEGIN
    FOREACH month IN ARRAY months LOOP
        IF month < this + interval '3 months' THEN
            PERFORM keywright.add_audit_partition(month);
        END IF;
    END LOOP;
END $$;

-- A seal covers events of one month; it outlives them.
CREATE TABLE keywright.audit_seal (
    workspace_id  text        NOT NULL,
    number        bigint      NOT NULL,
    create_time   timestamptz NOT NULL,
    month         date        NOT NULL,
    previous      bytea       NOT NULL,  -- the digest of the seal before it
    event_count   integer     NOT NULL,
    event_ids     bigint[]    NOT NULL,
    leaves        bytea       NOT NULL,  -- the SHA-256 of each event's record, in the same order
    root          bytea       NOT NULL,
    digest        bytea       NOT NULL,
    signature     bytea       NOT NULL,
    public_key    bytea       NOT NULL,
    CONSTRAINT audit_seal_pkey PRIMARY KEY (workspace_id, number),
    CONSTRAINT audit_seal_number_positive CHECK (number > 0),
    CONSTRAINT audit_seal_has_events CHECK (event_count > 0),
    CONSTRAINT audit_seal_is_whole
        CHECK (cardinality(event_ids) = event_count AND octet_length(leaves) = 32 * event_count),
    CONSTRAINT audit_seal_ids_known CHECK (array_position(event_ids, NULL) IS NULL),
    CONSTRAINT audit_seal_times_readable CHECK (
        create_time >= '0001-01-01 00:00Z' AND create_time < '10000-01-01 00:00Z'
        AND month >= '0001-01-01' AND month < '10000-01-01'
    )
);
-- The newest seal of each workspace: shows that no newer ones were cut off.
CREATE TABLE keywright.audit_chain (
    workspace_id  text   NOT NULL,
    number        bigint NOT NULL,
    digest        bytea  NOT NULL,
    CONSTRAINT audit_chain_pkey PRIMARY KEY (workspace_id)
);

-- What signs where no file is configured. It does not protect from who can read it here.
ALTER TABLE keywright.installation ADD COLUMN audit_signing_key bytea;
UPDATE keywright.installation SET audit_signing_key = sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
ALTER TABLE keywright.installation
    ALTER COLUMN audit_signing_key SET NOT NULL,
    ADD CONSTRAINT installation_audit_signing_key_size CHECK (octet_length(audit_signing_key) = 32);
