"""The steps of an explanation: the rules that decide about access, and what each comes to."""

from dataclasses import dataclass
from enum import StrEnum

from keywright.domain.errors import Reason


class Rule(StrEnum):
    """The rules that decide about access; equals `AccessRule` of the wire contract."""

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


class Verdict(StrEnum):
    """What a rule comes to. `NEUTRAL`: it neither gives nor takes away."""

    ALLOWS = "ALLOWS"
    DENIES = "DENIES"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, and what it comes to.

    Attributes:
        subject: the name of the user, role, grant, key or workspace it is about; empty if of none.
        values: the patterns, networks or resources that it looks at.
        message: a sentence for people.
        reason: what it denies with, if it does.
    """

    rule: Rule
    verdict: Verdict
    subject: str
    message: str
    values: tuple[str, ...] = ()
    reason: Reason | None = None
