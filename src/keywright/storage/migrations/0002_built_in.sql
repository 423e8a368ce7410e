-- What every installation has: the built-in roles, and the workspace of the operators.

INSERT INTO keywright.role (role_id, display_name, permissions, may_hold_keys) VALUES
    ('guest', 'Guest', '{}', false),
    ('labeler', 'Labeler', '{keys.own,labels.*}', true),
    ('collaborator', 'Collaborator', '{keys.own,labels.*,projects.read,datasets.read}', true),
    ('member', 'Member', '{keys.own,labels.*,projects.*,datasets.*,users.read,roles.read}', true),
    ('admin', 'Administrator', '{*}', true),
    ('authenticator', 'Authenticator', '{auth.authenticate}', true),
    ('viewer', 'Viewer', '{projects.read,datasets.read,labels.read}', false),
    ('editor', 'Editor',
     '{projects.read,datasets.read,labels.read,projects.write,datasets.write,labels.write}', false),
    ('manager', 'Manager', '{projects.*,datasets.*,labels.*,keys.bound}', false);

INSERT INTO keywright.workspace (workspace_id, display_name) VALUES ('system', 'Operators');
