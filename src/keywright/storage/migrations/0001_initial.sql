-- The whole schema of keywright. Public ids (`key_id`, `user_id`, ...) are unique in their workspace;
-- bigint `id`s are ours, never shown, and never used again: a resource that is deleted and made anew
-- under the same name is another row to every cache.

-- One row: what all processes of this installation share.
CREATE TABLE keywright.installation (
    singleton     boolean     NOT NULL DEFAULT true,
    signing_key   bytea       NOT NULL,  -- authenticates page tokens and revisions; no credential
    lease_length  interval    NOT NULL DEFAULT '1 second',
    create_time   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT installation_pkey PRIMARY KEY (singleton),
    CONSTRAINT installation_is_one_row CHECK (singleton),
    CONSTRAINT installation_signing_key_is_long CHECK (octet_length(signing_key) >= 32),
    CONSTRAINT installation_lease_length_range
        CHECK (lease_length BETWEEN interval '100 milliseconds' AND interval '60 seconds')
);
-- gen_random_uuid() draws from the operating system's generator: 122 random bits each.
INSERT INTO keywright.installation (signing_key)
VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- A fingerprint of each pepper that secrets were hashed with: a server that lacks one is not ready.
CREATE TABLE keywright.pepper (
    version     integer     NOT NULL,
    fingerprint bytea       NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pepper_pkey PRIMARY KEY (version),
    CONSTRAINT pepper_version_positive CHECK (version >= 1)
);

CREATE TABLE keywright.workspace (
    id                  bigint      GENERATED ALWAYS AS IDENTITY,
    workspace_id        text        NOT NULL,
    display_name        text        NOT NULL DEFAULT '',
    state               text        NOT NULL DEFAULT 'ACTIVE',
    environments        text[]      NOT NULL DEFAULT '{live,test}',
    permission_catalog  text[],              -- null: applications' permissions are free
    max_ttl             interval,
    default_ttl         interval,
    expiry_required     boolean     NOT NULL DEFAULT false,
    max_keys_per_user   integer,
    key_creation        text        NOT NULL DEFAULT '', -- who may create keys; '': as permissions say
    free_binding        boolean     NOT NULL DEFAULT false, -- everyone may bind keys of their own
    rotation_reminder   interval,
    labels              jsonb       NOT NULL DEFAULT '{}',
    version             bigint      NOT NULL DEFAULT 1,
    create_time         timestamptz NOT NULL DEFAULT now(),
    update_time         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workspace_pkey PRIMARY KEY (id),
    CONSTRAINT workspace_id_unique UNIQUE (workspace_id),
    CONSTRAINT workspace_id_form CHECK (workspace_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT workspace_state_known CHECK (state IN ('ACTIVE', 'DISABLED')),
    CONSTRAINT workspace_environments_given CHECK (cardinality(environments) BETWEEN 1 AND 16),
    CONSTRAINT workspace_max_ttl_range CHECK (max_ttl >= interval '1 minute'),
    CONSTRAINT workspace_default_ttl_range
        CHECK (default_ttl >= interval '1 minute' AND default_ttl <= coalesce(max_ttl, default_ttl)),
    CONSTRAINT workspace_max_keys_per_user_range CHECK (max_keys_per_user >= 1)
);

-- A role without a workspace is built in. `scope` lets a foreign key say "of this workspace, or built in".
CREATE TABLE keywright.role (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    workspace      bigint,
    scope          bigint      GENERATED ALWAYS AS (coalesce(workspace, 0)) STORED,
    role_id        text        NOT NULL,
    display_name   text        NOT NULL DEFAULT '',
    description    text        NOT NULL DEFAULT '',
    permissions    text[]      NOT NULL,
    may_hold_keys  boolean     NOT NULL,
    version        bigint      NOT NULL DEFAULT 1,
    create_time    timestamptz NOT NULL DEFAULT now(),
    update_time    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT role_pkey PRIMARY KEY (id),
    CONSTRAINT role_id_unique UNIQUE (scope, role_id),
    CONSTRAINT role_scope_unique UNIQUE (id, scope),
    CONSTRAINT role_workspace_exists FOREIGN KEY (workspace) REFERENCES keywright.workspace (id),
    CONSTRAINT role_id_form CHECK (role_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
);

CREATE TABLE keywright.user (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    workspace     bigint      NOT NULL,
    user_id       text        NOT NULL,
    kind          text        NOT NULL,
    state         text        NOT NULL DEFAULT 'ACTIVE',
    email         text,
    email_key     text,                   -- the normalised form, under which it is unique
    display_name  text        NOT NULL DEFAULT '',
    external_id   text        NOT NULL DEFAULT '',
    resource      text        NOT NULL DEFAULT '', -- of whose managers the user is; '': the admins'
    labels        jsonb       NOT NULL DEFAULT '{}',
    role          bigint      NOT NULL,
    role_scope    bigint      NOT NULL,
    version       bigint      NOT NULL DEFAULT 1,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_pkey PRIMARY KEY (id),
    CONSTRAINT user_id_unique UNIQUE (workspace, user_id),
    CONSTRAINT user_email_unique UNIQUE (workspace, email_key),
    CONSTRAINT user_workspace_unique UNIQUE (id, workspace),
    CONSTRAINT user_workspace_exists FOREIGN KEY (workspace) REFERENCES keywright.workspace (id),
    CONSTRAINT user_role_exists
        FOREIGN KEY (role, role_scope) REFERENCES keywright.role (id, scope),
    CONSTRAINT user_role_is_of_workspace CHECK (role_scope IN (0, workspace)),
    CONSTRAINT user_id_form CHECK (user_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT user_kind_known CHECK (kind IN ('HUMAN', 'SERVICE')),
    CONSTRAINT user_state_known CHECK (state IN ('ACTIVE', 'DISABLED')),
    CONSTRAINT user_email_normalised CHECK ((email IS NULL) = (email_key IS NULL)),
    CONSTRAINT user_human_has_email CHECK (kind <> 'HUMAN' OR email IS NOT NULL)
);
CREATE UNIQUE INDEX user_external_id_unique ON keywright.user (workspace, external_id)
    WHERE external_id <> '';
CREATE INDEX user_by_role ON keywright.user (role);
CREATE INDEX user_in_order ON keywright.user (workspace, id);

CREATE TABLE keywright.grant (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    workspace    bigint      NOT NULL,
    grant_id     text        NOT NULL,
    "user"       bigint      NOT NULL,
    resource     text        NOT NULL,
    role         bigint      NOT NULL,
    role_scope   bigint      NOT NULL,
    creator      text        NOT NULL DEFAULT '', -- name, as at creation
    create_time  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT grant_pkey PRIMARY KEY (id),
    CONSTRAINT grant_id_unique UNIQUE (workspace, grant_id),
    CONSTRAINT grant_once UNIQUE ("user", resource, role),
    CONSTRAINT grant_user_exists
        FOREIGN KEY ("user", workspace) REFERENCES keywright.user (id, workspace) ON DELETE CASCADE,
    CONSTRAINT grant_role_exists
        FOREIGN KEY (role, role_scope) REFERENCES keywright.role (id, scope),
    CONSTRAINT grant_role_is_of_workspace CHECK (role_scope IN (0, workspace)),
    CONSTRAINT grant_resource_given CHECK (resource <> '')
);
CREATE INDEX grant_by_role ON keywright.grant (role);
CREATE INDEX grant_by_resource ON keywright.grant (workspace, resource);

CREATE TABLE keywright.key (
    id                 bigint      GENERATED ALWAYS AS IDENTITY,
    workspace          bigint      NOT NULL,
    key_id             text        NOT NULL,
    owner              bigint,               -- null: the user was deleted
    owner_user_id      text        NOT NULL, -- as at creation: kept when the user is gone
    owner_email        text        NOT NULL DEFAULT '',
    creator_user_id    text        NOT NULL,
    creator_email      text        NOT NULL DEFAULT '',
    creator_credential text        NOT NULL DEFAULT '',
    display_name       text        NOT NULL DEFAULT '',
    environment        text        NOT NULL,
    role               bigint,               -- null: not narrowed to a role
    role_scope         bigint,
    scopes             text[]      NOT NULL DEFAULT '{}',
    resource           text        NOT NULL DEFAULT '',
    allowed_networks   cidr[]      NOT NULL DEFAULT '{}',
    rate_requests      integer,
    rate_period        interval,
    labels             jsonb       NOT NULL DEFAULT '{}',
    state              text        NOT NULL DEFAULT 'ACTIVE',
    version            bigint      NOT NULL DEFAULT 1,
    create_time        timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now(),
    expire_time        timestamptz,
    revoke_time        timestamptz,
    last_used_time     timestamptz,
    last_used_address  inet,
    CONSTRAINT key_pkey PRIMARY KEY (id),
    CONSTRAINT key_id_unique UNIQUE (workspace, key_id),
    CONSTRAINT key_workspace_exists FOREIGN KEY (workspace) REFERENCES keywright.workspace (id),
    CONSTRAINT key_owner_exists FOREIGN KEY (owner, workspace)
        REFERENCES keywright.user (id, workspace) ON DELETE SET NULL (owner),
    CONSTRAINT key_role_exists FOREIGN KEY (role, role_scope) REFERENCES keywright.role (id, scope),
    CONSTRAINT key_role_is_of_workspace CHECK (role_scope IN (0, workspace)),
    CONSTRAINT key_role_whole CHECK ((role IS NULL) = (role_scope IS NULL)),
    CONSTRAINT key_id_form CHECK (key_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT key_state_known CHECK (state IN ('ACTIVE', 'DISABLED', 'REVOKED')),
    CONSTRAINT key_revoked_has_time CHECK ((state = 'REVOKED') = (revoke_time IS NOT NULL)),
    CONSTRAINT key_rate_whole CHECK ((rate_requests IS NULL) = (rate_period IS NULL)),
    CONSTRAINT key_rate_range CHECK (rate_requests >= 1 AND rate_period >= interval '1 second')
);
-- Lists go newest first, within a workspace or of one user.
CREATE INDEX key_in_order ON keywright.key (workspace, id DESC);
CREATE INDEX key_by_owner ON keywright.key (owner, id DESC);
CREATE INDEX key_by_role ON keywright.key (role) WHERE role IS NOT NULL;
CREATE INDEX key_by_resource ON keywright.key (workspace, resource) WHERE resource <> '';

CREATE TABLE keywright.key_secret (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    key             bigint      NOT NULL,
    prefix          text        NOT NULL,
    verifier_tag    bytea       NOT NULL,
    hash            text        NOT NULL,  -- Argon2id, PHC string
    hash_version    integer     NOT NULL DEFAULT 1, -- rises when the hash is renewed
    pepper_version  integer,               -- null: hashed without a pepper
    not_after       timestamptz,           -- null: as long as the key
    create_time     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT key_secret_pkey PRIMARY KEY (id),
    CONSTRAINT key_secret_prefix_unique UNIQUE (prefix),
    CONSTRAINT key_secret_key_exists
        FOREIGN KEY (key) REFERENCES keywright.key (id) ON DELETE CASCADE,
    CONSTRAINT key_secret_pepper_exists
        FOREIGN KEY (pepper_version) REFERENCES keywright.pepper (version),
    CONSTRAINT key_secret_prefix_form CHECK (prefix ~ '^[0-9A-Za-z]{12}$'),
    CONSTRAINT key_secret_verifier_tag_length CHECK (octet_length(verifier_tag) = 8)
);
CREATE INDEX key_secret_by_key ON keywright.key_secret (key);
CREATE INDEX key_secret_by_pepper ON keywright.key_secret (pepper_version)
    WHERE pepper_version IS NOT NULL;

-- Inserted in the transaction of what it reports (promise G10). Names, not references: an event
-- outlives what it speaks of. Partitioned by time, so that retention drops tables instead of rows.
CREATE TABLE keywright.audit_event (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    create_time     timestamptz NOT NULL DEFAULT now(),
    workspace_id    text        NOT NULL,
    action          text        NOT NULL,
    resource        text        NOT NULL,
    outcome         text        NOT NULL DEFAULT 'DONE',
    reason          text        NOT NULL DEFAULT '',
    actor           text        NOT NULL,
    actor_email     text        NOT NULL DEFAULT '',
    credential      text        NOT NULL,
    client_address  text        NOT NULL DEFAULT '',
    call_id         text        NOT NULL DEFAULT '',
    request_id      text        NOT NULL DEFAULT '',
    count           integer     NOT NULL DEFAULT 1,    -- how many alike this one stands for,
    first_time      timestamptz,                       -- and when the first of them was
    change          jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT audit_event_pkey PRIMARY KEY (create_time, id)
) PARTITION BY RANGE (create_time);
CREATE TABLE keywright.audit_event_default PARTITION OF keywright.audit_event DEFAULT;
CREATE INDEX audit_event_in_order ON keywright.audit_event (workspace_id, create_time, id);
CREATE INDEX audit_event_by_resource ON keywright.audit_event (workspace_id, resource, create_time);

-- The history of authority (DESIGN section 5). A position is the pair (revision, tag): a number alone
-- can be used twice when a failover loses the tail.
CREATE TABLE keywright.authority_revision (
    singleton  boolean NOT NULL DEFAULT true,
    revision   bigint  NOT NULL DEFAULT 0,
    tag        uuid    NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT authority_revision_pkey PRIMARY KEY (singleton),
    CONSTRAINT authority_revision_is_one_row CHECK (singleton)
);
INSERT INTO keywright.authority_revision DEFAULT VALUES;

CREATE TABLE keywright.authority_change (
    revision     bigint      NOT NULL,
    tag          uuid        NOT NULL,
    kind         text        NOT NULL,
    changed      bigint      NOT NULL, -- the `id` of what changed, in the table that `kind` names
    create_time  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT authority_change_pkey PRIMARY KEY (revision, kind, changed),
    CONSTRAINT authority_change_kind_known
        CHECK (kind IN ('workspace', 'role', 'user', 'grant', 'key', 'key_secret'))
);

-- One row a process: how far it has applied the history. `counter` shows others that it lives.
CREATE TABLE keywright.replica (
    id           uuid        NOT NULL,
    applied      bigint      NOT NULL,
    applied_tag  uuid        NOT NULL,
    counter      bigint      NOT NULL DEFAULT 0,
    create_time  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replica_pkey PRIMARY KEY (id)
);
