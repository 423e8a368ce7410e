"""What a route or a method asks of who calls it."""

from collections.abc import Mapping
from dataclasses import dataclass

from keywright.sdk.errors import PermissionDenied


class Requirement:
    """What is asked for: `Requires(...)` or `PUBLIC`, and nothing else."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, init=False)
class Requires(Requirement):
    """A token that stands, and all of these permissions: `Requires("datasets.read")`.

    Attributes:
        permissions: all are needed; without any, every token that stands will do.
        resource: what is acted on, as in `Authenticator.authenticate`; of a route it may name
            parts of the path, `datasets/{dataset}`.
        environment: the environment that the key must be of.
    """

    permissions: tuple[str, ...]
    resource: str
    environment: str

    def __init__(self, *permissions: str, resource: str = "", environment: str = "") -> None:
        object.__setattr__(self, "permissions", permissions)
        object.__setattr__(self, "resource", resource)
        object.__setattr__(self, "environment", environment)


class Public(Requirement):
    """Nothing is asked for, and what is presented is not looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PUBLIC"


PUBLIC = Public()


def checked(rules: Mapping[str, Requirement]) -> dict[str, Requires | Public]:
    """The rules, if each is one: what is none must not pass for `PUBLIC`.

    Raises:
        TypeError: one is something else, `Requires` without its parentheses perhaps.
    """
    found: dict[str, Requires | Public] = {}
    for name, requirement in rules.items():
        if not isinstance(requirement, Requires | Public):
            raise TypeError(f"{name!r} asks for {requirement!r}: give Requires(...) or PUBLIC")
        found[name] = requirement
    return found


class MethodRules:
    """What each gRPC method asks for: by `/package.Service/Method`, `/package.Service/*` or `*`.

    The most exact one counts, wherever it stands.
    """

    def __init__(self, rules: Mapping[str, Requirement]) -> None:
        self._rules = checked(rules)
        for name in rules:
            parts = name.split("/")
            is_method = len(parts) == 3 and not parts[0] and all(parts[1:])  # noqa: PLR2004
            if name != "*" and not is_method:
                raise ValueError(
                    f"{name!r} is none of /package.Service/Method, /package.Service/* and *"
                )

    def of(self, method: str) -> Requires | Public:
        """What the method asks for.

        Raises:
            PermissionDenied: `NOT_LISTED`: no rule is for it, so nobody may call it.
        """
        service = method.rpartition("/")[0]
        for name in (method, f"{service}/*", "*"):
            found = self._rules.get(name)
            if found is not None:
                return found
        raise PermissionDenied(f"no rule is for {method}", reason="NOT_LISTED")
