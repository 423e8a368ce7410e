-- A session that a key opened stands as long as that very token of the key could open it again. One
-- that was opened before this says of no token, and is over.
ALTER TABLE keywright.session
    ADD COLUMN opening_secret bigint,
    ADD COLUMN not_after timestamptz, -- what is created in it ends by then; null: whenever it likes
    ADD CONSTRAINT session_opening_secret_exists
        FOREIGN KEY (opening_secret) REFERENCES keywright.key_secret (id) ON DELETE SET NULL,
    ADD CONSTRAINT session_opened_by_key CHECK (opening_secret IS NULL OR method = 'KEY');
CREATE INDEX session_by_opening_secret ON keywright.session (opening_secret)
    WHERE opening_secret IS NOT NULL;

-- Of these a user has a few; all others are kept as a record.
CREATE INDEX session_unrevoked_by_user ON keywright.session ("user") WHERE revoke_time IS NULL;

-- The end of the credential that made it, which the session does not outlive, nor what it creates.
ALTER TABLE keywright.sign_in_link ADD COLUMN not_after timestamptz;
