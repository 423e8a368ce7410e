-- Signed-in people, and the links by which they sign in.

-- It ends `idle_timeout` after its last use, and at `expire_time` whatever happens. Uses are written at
-- most once a minute, by each server those that it has answered.
CREATE TABLE keywright.session (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    workspace       bigint      NOT NULL,
    session_id      text        NOT NULL,
    "user"          bigint      NOT NULL,
    method          text        NOT NULL,
    client_address  inet,
    user_agent      text        NOT NULL DEFAULT '',
    idle_timeout    interval    NOT NULL,
    create_time     timestamptz NOT NULL,
    expire_time     timestamptz NOT NULL,
    last_used_time  timestamptz NOT NULL,
    revoke_time     timestamptz,
    CONSTRAINT session_pkey PRIMARY KEY (id),
    CONSTRAINT session_id_unique UNIQUE (workspace, session_id),
    CONSTRAINT session_user_exists
        FOREIGN KEY ("user", workspace) REFERENCES keywright.user (id, workspace) ON DELETE CASCADE,
    CONSTRAINT session_id_form CHECK (session_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT session_method_known CHECK (method IN ('LINK', 'KEY', 'OPENID_CONNECT')),
    CONSTRAINT session_idle_timeout_positive CHECK (idle_timeout > interval '0'),
    CONSTRAINT session_ends_after_its_beginning CHECK (expire_time >= create_time)
);
-- Lists go newest first, within a workspace or of one user; those that are long over are looked for
-- by their end.
CREATE INDEX session_in_order ON keywright.session (workspace, id DESC);
CREATE INDEX session_by_user ON keywright.session ("user", id DESC);
CREATE INDEX session_by_end ON keywright.session (expire_time);

-- The token of a session is found, proven and hashed as a key's is: through one index and one query.
ALTER TABLE keywright.key_secret
    ALTER COLUMN key DROP NOT NULL,
    ADD COLUMN session bigint,
    ADD CONSTRAINT key_secret_session_exists
        FOREIGN KEY (session) REFERENCES keywright.session (id) ON DELETE CASCADE,
    ADD CONSTRAINT key_secret_is_of_one CHECK (num_nonnulls(key, session) = 1);
CREATE UNIQUE INDEX key_secret_by_session ON keywright.key_secret (session)
    WHERE session IS NOT NULL;

ALTER TABLE keywright.authority_change
    DROP CONSTRAINT authority_change_kind_known,
    ADD CONSTRAINT authority_change_kind_known
        CHECK (kind IN ('workspace', 'role', 'user', 'grant', 'key', 'key_secret', 'session'));

-- What signs a person in, once. A link that was used stays for a while, so that a repetition of the
-- call that used it is told from another one.
CREATE TABLE keywright.sign_in_link (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    workspace    bigint      NOT NULL,
    "user"       bigint      NOT NULL,
    prefix       text        NOT NULL,
    digest       bytea       NOT NULL, -- SHA-256 of the secret's 32 bytes
    create_time  timestamptz NOT NULL DEFAULT now(),
    expire_time  timestamptz NOT NULL,
    use_time     timestamptz,
    CONSTRAINT sign_in_link_pkey PRIMARY KEY (id),
    CONSTRAINT sign_in_link_prefix_unique UNIQUE (prefix),
    CONSTRAINT sign_in_link_user_exists
        FOREIGN KEY ("user", workspace) REFERENCES keywright.user (id, workspace) ON DELETE CASCADE,
    CONSTRAINT sign_in_link_prefix_form CHECK (prefix ~ '^[0-9A-Za-z]{12}$'),
    CONSTRAINT sign_in_link_digest_length CHECK (octet_length(digest) = 32)
);
CREATE INDEX sign_in_link_by_user ON keywright.sign_in_link ("user");
CREATE INDEX sign_in_link_by_end ON keywright.sign_in_link (expire_time);
