-- Workspaces with policies and a catalogue, service users of a resource, creators known by more than
-- their name.

ALTER TABLE keywright.workspace
    -- A deleted workspace leaves its row, without anything in it: the id is not given again.
    ADD COLUMN delete_time timestamptz,
    -- What each permission permits stands beside it: {"datasets.read": "Read data sets"}
    ALTER COLUMN permission_catalog TYPE jsonb USING CASE
        WHEN permission_catalog IS NOT NULL THEN jsonb_object(
            permission_catalog, array_fill(''::text, ARRAY[cardinality(permission_catalog)])) END,
    ALTER COLUMN key_creation SET DEFAULT 'EVERYONE';
UPDATE keywright.workspace SET key_creation = 'EVERYONE' WHERE key_creation = '';
ALTER TABLE keywright.workspace
    ADD CONSTRAINT workspace_key_creation_known CHECK (key_creation IN ('EVERYONE', 'ADMINS')),
    ADD CONSTRAINT workspace_rotation_reminder_range CHECK (rotation_reminder >= interval '1 day');

-- A service user of a resource has no role: its only authority is what grants give it there.
ALTER TABLE keywright.user
    ALTER COLUMN role DROP NOT NULL,
    ALTER COLUMN role_scope DROP NOT NULL,
    ADD CONSTRAINT user_role_whole CHECK ((role IS NULL) = (role_scope IS NULL)),
    ADD CONSTRAINT user_role_or_resource CHECK ((role IS NULL) = (resource <> '')),
    ADD CONSTRAINT user_resource_is_for_services CHECK (resource = '' OR kind = 'SERVICE');
CREATE INDEX user_by_resource ON keywright.user (workspace, resource) WHERE resource <> '';

-- While the creator is there, its e-mail is the one it has; `creator_email` keeps the last one.
ALTER TABLE keywright.key ADD COLUMN creator bigint;
UPDATE keywright.key k SET creator = u.id
    FROM keywright.user u WHERE u.workspace = k.workspace AND u.user_id = k.creator_user_id;
ALTER TABLE keywright.key
    ADD CONSTRAINT key_creator_exists FOREIGN KEY (creator, workspace)
        REFERENCES keywright.user (id, workspace) ON DELETE SET NULL (creator);
CREATE INDEX key_by_creator ON keywright.key (creator, id DESC);
