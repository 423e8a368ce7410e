"""Explanations as they are returned: which rule decides what a key or a user may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AccessRule(StrEnum):
    """The rules that decide about access."""

    UNKNOWN = "UNKNOWN"
    WORKSPACE_STATE = "WORKSPACE_STATE"
    USER_STATE = "USER_STATE"
    CREDENTIAL_STATE = "CREDENTIAL_STATE"
    EXPIRY = "EXPIRY"
    KEY_HOLDING = "KEY_HOLDING"
    ENVIRONMENT = "ENVIRONMENT"
    NETWORK = "NETWORK"
    KEY_RESOURCE = "KEY_RESOURCE"
    USER_ROLE = "USER_ROLE"
    GRANT = "GRANT"
    KEY_ROLE = "KEY_ROLE"
    KEY_SCOPES = "KEY_SCOPES"


class AccessVerdict(StrEnum):
    """What a rule comes to; `NEUTRAL`: it neither gives nor takes away."""

    UNKNOWN = "UNKNOWN"
    ALLOWS = "ALLOWS"
    DENIES = "DENIES"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class AccessStep:
    """One rule, and what it came to.

    Attributes:
        subject: the name of the workspace, user, role, grant or key it is about; empty if of none.
        values: the permission patterns, networks or resources that it looked at.
        message: a sentence for people, whose wording may change.
        reason: what it denies with, as in errors; empty if it does not.
    """

    rule: AccessRule
    verdict: AccessVerdict
    subject: str
    values: tuple[str, ...]
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Denial:
    """Why something is denied; `reason` is the same as in errors."""

    reason: str
    message: str
    missing_permissions: tuple[str, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AccessExplanation:
    """What a key or a user may do, and why; `denial` is None where it is allowed.

    `steps` are all rules that were looked at, in their order.
    """

    allowed: bool
    denial: Denial | None
    steps: tuple[AccessStep, ...]
    revision: str

    @property
    def deciding(self) -> AccessStep | None:
        """The step that decided: the first that denies, else the first that gives the permission.

        None where all is well and no permission was asked for.
        """
        if not self.allowed:
            return next((each for each in self.steps if each.verdict is AccessVerdict.DENIES), None)
        giving = (AccessRule.USER_ROLE, AccessRule.GRANT)
        return next(
            (
                each
                for each in self.steps
                if each.rule in giving and each.verdict is AccessVerdict.ALLOWS
            ),
            None,
        )
