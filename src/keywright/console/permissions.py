"""keywright's own permissions, as people read about them; those of applications are theirs."""

from collections.abc import Mapping

OWN: Mapping[str, str] = {
    "keys.own": "Hold keys, and manage them",
    "keys.any": "See and manage the keys of everybody, and generate some for others",
    "keys.bound": "Manage the keys and service users of a resource: meant for grants",
    "users.read": "See users",
    "users.manage": "Add, change, disable and delete users, and end their sessions",
    "roles.read": "See roles",
    "roles.manage": "Add, change and delete roles",
    "grants.read": "See who has which role on which resource",
    "grants.manage": "Give and take away roles on resources",
    "workspace.manage": "Change the workspace: its policy, environments and permissions",
    "audit.read": "Read the audit trail",
    "usage.read": "See how often keys are used",
    "auth.authenticate": "Ask who presents a token: for services that check keys",
}
"""What each lets its holder do. The two that cross workspaces are of operators alone."""
