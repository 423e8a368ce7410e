-- Keys of other products: their secrets are found by a prefix or a digest of their tokens, of a format
-- that an import registered.

CREATE TABLE keywright.token_format (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    workspace      bigint      NOT NULL,
    pattern        text        NOT NULL,
    lookup         text        NOT NULL,
    prefix_length  integer     NOT NULL,
    hash_offset    integer     NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT token_format_pkey PRIMARY KEY (id),
    CONSTRAINT token_format_once UNIQUE (workspace, pattern, lookup, prefix_length, hash_offset),
    CONSTRAINT token_format_workspace_exists
        FOREIGN KEY (workspace) REFERENCES keywright.workspace (id),
    CONSTRAINT token_format_lookup_known CHECK (lookup IN ('PREFIX', 'DIGEST')),
    CONSTRAINT token_format_prefix_range
        CHECK (CASE lookup WHEN 'PREFIX' THEN prefix_length BETWEEN 4 AND 64 ELSE prefix_length = 0 END),
    CONSTRAINT token_format_hash_offset_range CHECK (hash_offset BETWEEN 0 AND 128)
);

-- The unique index on `prefix` is the one of the hot path, and stays as it is: imported secrets have
-- no prefix of ours.
ALTER TABLE keywright.key_secret
    ALTER COLUMN prefix DROP NOT NULL,
    ALTER COLUMN verifier_tag DROP NOT NULL,
    ADD COLUMN format bigint,                -- null: a token of ours
    ADD COLUMN foreign_prefix text,
    ADD COLUMN digest bytea,
    ADD CONSTRAINT key_secret_format_exists
        FOREIGN KEY (format) REFERENCES keywright.token_format (id),
    ADD CONSTRAINT key_secret_is_found_one_way CHECK (num_nonnulls(prefix, foreign_prefix, digest) = 1),
    ADD CONSTRAINT key_secret_is_ours_or_foreign CHECK ((format IS NULL) = (prefix IS NOT NULL)),
    -- Of a secret that can be guessed, the tag would be a fast hash.
    ADD CONSTRAINT key_secret_tag_given CHECK (verifier_tag IS NOT NULL OR format IS NOT NULL),
    ADD CONSTRAINT key_secret_foreign_prefix_length CHECK (length(foreign_prefix) BETWEEN 4 AND 64),
    ADD CONSTRAINT key_secret_digest_length CHECK (octet_length(digest) IN (32, 64));
-- Whose token it is has one answer. Prefixes of other products may be the same in two workspaces.
CREATE UNIQUE INDEX key_secret_digest_unique ON keywright.key_secret (digest)
    WHERE digest IS NOT NULL;
CREATE UNIQUE INDEX key_secret_foreign_prefix_unique
    ON keywright.key_secret (foreign_prefix, format) WHERE foreign_prefix IS NOT NULL;
CREATE INDEX key_secret_by_format ON keywright.key_secret (format) WHERE format IS NOT NULL;
