-- What was committed under which `request_id`, so that a repetition is told and not done (AIP-155).
-- Written in the transaction of what it stands for. `actor` is the user's internal id, which is never
-- used again, so nothing has to be tidied up behind a user.

CREATE TABLE keywright.request_id (
    actor        bigint      NOT NULL,
    method       text        NOT NULL,
    request_id   text        NOT NULL,
    digest       bytea       NOT NULL,  -- SHA-256 of the request
    reply        bytea       NOT NULL DEFAULT '',  -- the reply's message, without a token
    create_time  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT request_id_pkey PRIMARY KEY (actor, method, request_id),
    CONSTRAINT request_id_digest_length CHECK (octet_length(digest) = 32)
);
CREATE INDEX request_id_by_age ON keywright.request_id (create_time);
