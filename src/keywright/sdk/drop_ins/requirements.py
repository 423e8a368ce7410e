"""What a route or a method asks of who calls it."""

from collections.abc import Mapping
from dataclasses import dataclass

from keywright.sdk.errors import PermissionDenied
from keywright.sdk.values.asked_for import is_environment, is_permission
from keywright.sdk.values.resources import is_resource


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

    Raises:
        ValueError: one is such that no key could be asked for it.
        TypeError: a permission is no text; a list of them perhaps.
    """

    permissions: tuple[str, ...]
    resource: str
    environment: str

    def __init__(self, *permissions: str, resource: str = "", environment: str = "") -> None:
        for permission in permissions:
            if not isinstance(permission, str):
                raise TypeError(f'{permission!r} is no permission: Requires("a.read", "b.read")')
            if not is_permission(permission):
                raise ValueError(f"{permission!r} is no permission like datasets.read")
        if resource and not is_resource(resource):
            raise ValueError(f"{resource!r} is no resource like projects/abc")
        if environment and not is_environment(environment):
            raise ValueError(f"{environment!r} is no environment like live")
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

    Raises:
        ValueError: one is for no method, or its resource has a `{name}`, which methods have not.
    """

    def __init__(self, rules: Mapping[str, Requirement]) -> None:
        self._rules = checked(rules)
        for name, rule in self._rules.items():
            if isinstance(rule, Requires) and {*"{}"} & {*rule.resource}:
                raise ValueError(f"{name!r}: a method has no parts for {rule.resource!r}")
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
