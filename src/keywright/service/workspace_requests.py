"""What a caller asks of workspaces, in the domain's words, and what is wrong with it by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from keywright.domain.audit import duration_value
from keywright.domain.directory import NO_POLICY, KeyPolicy, Workspace
from keywright.domain.policy import check_catalog, check_environments, check_policy
from keywright.domain.text import check_description, check_display_name, check_labels

POLICY_FIELDS = frozenset(
    {
        "max_ttl",
        "default_ttl",
        "expiry_required",
        "max_keys_per_user",
        "key_creation",
        "free_binding",
        "rotation_reminder",
    }
)
FIELDS = frozenset({"display_name", "environments", "permission_catalog", "labels"}) | {
    f"policy.{each}" for each in POLICY_FIELDS
}
_TAKEN = frozenset({"display_name", "environments", "labels"})


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """What a caller asks of a workspace. The catalogue is pairs of permission and description."""

    workspace_id: str = ""
    display_name: str = ""
    policy: KeyPolicy = NO_POLICY
    environments: tuple[str, ...] = ()
    permission_catalog: tuple[tuple[str, str], ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    admin_email: str = ""


@dataclass(frozen=True, slots=True)
class WorkspaceUpdate:
    """New values for a workspace; `fields` are the paths of those that count, of `FIELDS`."""

    fields: frozenset[str]
    values: WorkspaceSpec


def checked(workspace: Workspace, update: WorkspaceUpdate) -> Workspace:
    """The workspace with the new values of the fields that are to change.

    Raises:
        InvalidFields: a value that cannot be one, or a policy whose parts do not fit.
    """
    fields, values = update.fields, update.values
    check_display_name(values.display_name, "workspace.display_name")
    check_labels(values.labels, "workspace.labels")
    changed = workspace
    of_policy = POLICY_FIELDS & {each.removeprefix("policy.") for each in fields}
    if of_policy:
        policy = replace(
            workspace.key_policy, **{each: getattr(values.policy, each) for each in of_policy}
        )
        check_policy(policy, "workspace.policy")
        changed = replace(changed, key_policy=policy)
    if "environments" in fields:
        check_environments(values.environments, "workspace.environments")
    if "permission_catalog" in fields:
        entries = values.permission_catalog
        catalog = None if entries is None else _catalog(entries)
        changed = replace(changed, permission_catalog=catalog)
    return replace(changed, **{each: getattr(values, each) for each in fields & _TAKEN})


def _catalog(entries: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    path = "workspace.permission_catalog"
    for index, (_, description) in enumerate(entries):
        check_description(description, f"{path}.entries[{index}].description")
    return check_catalog(entries, path)


def described(workspace: Workspace) -> dict[str, object]:
    """A workspace as the audit trail keeps it."""
    policy = workspace.key_policy
    return {
        "display_name": workspace.display_name,
        "environments": list(workspace.environments),
        "permission_catalog": workspace.permission_catalog and dict(workspace.permission_catalog),
        "labels": dict(workspace.labels),
        "policy.max_ttl": duration_value(policy.max_ttl),
        "policy.default_ttl": duration_value(policy.default_ttl),
        "policy.expiry_required": policy.expiry_required,
        "policy.max_keys_per_user": policy.max_keys_per_user,
        "policy.key_creation": policy.key_creation,
        "policy.free_binding": policy.free_binding,
        "policy.rotation_reminder": duration_value(policy.rotation_reminder),
    }
