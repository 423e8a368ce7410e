"""The sections of the console, as far as a person may use them."""

from collections.abc import Sequence
from dataclasses import dataclass

from keywright.sdk import Principal


@dataclass(frozen=True, slots=True)
class Section:
    """Pages that belong together; shown to who has one of the permissions, or to all.

    Attributes:
        id: what pages of it say they are of.
    """

    id: str
    label: str
    path: str
    permissions: tuple[str, ...] = ()

    def is_for(self, me: Principal) -> bool:
        """Whether a person is shown it."""
        return not self.permissions or any(me.may(each) for each in self.permissions)


SECTIONS: tuple[Section, ...] = (
    Section("overview", "Overview", "/overview", ("keys.any", "usage.read")),
    Section("keys", "API keys", "/keys"),
    Section("users", "Users", "/users", ("users.read",)),
    Section("service-users", "Service users", "/service-users", ("users.read", "users.manage")),
    Section("roles", "Roles", "/roles", ("roles.read",)),
    Section("grants", "Grants", "/grants", ("grants.read", "grants.manage")),
    Section("policy", "Policy", "/policy", ("workspace.manage",)),
    Section("audit", "Audit", "/audit", ("audit.read",)),
)
"""Those of the bar at the top, in their order."""


def sections_for(me: Principal) -> Sequence[Section]:
    """What a person is shown."""
    return [each for each in SECTIONS if each.is_for(me)]
