"""What is known of a request before anybody is asked who presents its key. Pure.

    request -> its headers -> its path -> its rule

Requests that are alike have the same plan, so transports remember plans. There is no key in one.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from keywright.sdk.drop_ins.presented import without_zone
from keywright.sdk.drop_ins.routes import METHOD, NoRule, RefusedCapture, Routes, Rule
from keywright.sdk.drop_ins.targets import RefusedTarget, parse_target
from keywright.sidecar.decisions import Decision, forbidden, refused
from keywright.sidecar.inspection import HeaderInspection, RefusedHeader

Key = TypeVar("Key", bound=Hashable)

NO_RULE = Rule("-")
HEADER_SIZE = 32
"""What a header counts for besides its characters, as in HTTP/2 (RFC 9113 section 6.5.2)."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked of a proxy.

    `target` with its query. `headers`: all that make a difference, and perhaps others; without
    those that a key may be in (`HeaderInspection.may_have_key`). `rule`: what the proxy itself says
    that is needed; else the routes say it.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    client_address: str = ""
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request needs; or the `decision`, if it is one whoever asks."""

    rule: Rule
    client_address: str = ""
    decision: Decision | None = None


class Planner:
    """Makes plans.

    Args:
        routes: what is needed where.
        inspection: which headers make a request one to refuse.
        to_nobody: the decision where no key is asked for.
    """

    def __init__(self, routes: Routes, inspection: HeaderInspection, to_nobody: Decision) -> None:
        self._routes = routes
        self._inspection = inspection
        self._to_nobody = to_nobody

    def __call__(self, request: Request) -> Plan:
        """The plan for a request; it never raises for one."""
        try:
            self._inspection.check(request.headers)
            path = parse_target(request.target)
            if METHOD.fullmatch(request.method) is None:
                return settled(
                    refused("METHOD_REFUSED", "the method is no word of capital letters")
                )
            rule = request.rule or self._routes.find(request.method, path)
        except RefusedHeader as error:
            return settled(refused("HEADER_REFUSED", str(error)))
        except RefusedTarget as error:
            return settled(refused("TARGET_AMBIGUOUS", str(error)))
        except RefusedCapture as error:
            return settled(refused("RESOURCE_REFUSED", str(error)))
        except NoRule as error:
            return settled(forbidden("NO_ROUTE", str(error)))
        client_address = without_zone(request.client_address)
        return Plan(rule, client_address, self._to_nobody if rule.public else None)


def settled(decision: Decision) -> Plan:
    """A plan that needs nothing more."""
    return Plan(NO_RULE, decision=decision)


class Remembered(Generic[Key]):
    """Plans by what they were made of, the longest unused forgotten first."""

    MAX_COUNT = 4_096
    MAX_SIZE = 1_024

    def __init__(self, make: Callable[[Key], Plan]) -> None:
        self._make = make
        self._remembered = lru_cache(self.MAX_COUNT)(make)

    def __call__(self, key: Key, size: int) -> Plan:
        """The plan of a key; one that is larger than MAX_SIZE is not remembered.

        Args:
            key: what the plan is made of.
            size: its characters, and HEADER_SIZE for each header.
        """
        return self._remembered(key) if size <= self.MAX_SIZE else self._make(key)
