"""What remembered tokens take: no more than is counted, and 1 KiB at most for a plain key."""

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest

from keywright.domain.decision import Credential, Principal
from keywright.domain.directory import Grant
from keywright.domain.errors import Denied, Reason
from keywright.domain.keys import Narrowing
from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import Role
from keywright.security.cache import Cache
from keywright.service import known as module
from keywright.service.known import Idle, Known, pack, terms
from keywright.wire.rendering import Rendering, _permissions
from keywright.wire.sealing import Seal
from tests.support.credentials import NOW, ROLES, credential, role, user

COUNT = 300
KIBIBYTE = 1024
PERMISSIONS = ROLES["member"].permissions
RENDERING = Rendering(Seal(b"a signing key of the test's own...."))


def its_own(of: Role) -> Role:
    """An equal role, for which nothing is shared."""
    copies = [f"{each} "[:-1] for each in of.permissions.patterns]
    return replace(of, permissions=PermissionSet(copies))


def found(
    number: int,
    *,
    of: Role | None = None,
    workspace: str = "default",
    narrowing: Narrowing | None = None,
    grants: Sequence[Grant] = (),
) -> Credential:
    """As a row tells it: with strings and objects of its own."""
    owner = user(f"user-{number}", of or its_own(ROLES["member"]), workspace=workspace)
    owner = replace(owner, internal_id=number)
    made = credential(owner, narrowing=narrowing, grants=grants, internal_id=number)
    key = replace(made.key, key_id=f"key-{number:016}", display_name="Nightly import")
    return replace(made, record=key)


def remembered(of: Credential) -> Known:
    """As `Proving` does it, and after a use."""
    principal, rests_on = Principal(of, PERMISSIONS, NOW), of.rests_on
    bound = of.authority.narrowing.resource
    plain = None if bound else RENDERING.permissions(of.authority.at(""))
    reply = RENDERING.terms(principal, rests_on)
    own_or_shared, terms_bytes = terms(of.authority, of.key.environment, reply, plain)
    known = Known(
        packed=pack(os.urandom(16), os.urandom(8), os.urandom(8), rests_on, of.key.key_id),
        as_of=1,
        end=float("inf"),
        denied=None,
        head=RENDERING.head(principal, rests_on),
        terms=own_or_shared,
        terms_bytes=terms_bytes,
    )
    known.allowed, known.last_time = 1, NOW.timestamp() + known.ids.key
    known.collected()
    return known


def plain(number: int) -> Known:
    return remembered(found(number))


def expiring(number: int) -> Known:
    return replace(plain(number), end=(NOW + timedelta(seconds=number)).timestamp())


def of_a_session(number: int) -> Known:
    return replace(expiring(number), idle=Idle(3600.0 + number, NOW.timestamp() + number))


def dead(number: int) -> Known:
    denied = Denied(Reason.KEYS_NOT_ALLOWED, f"the role role-{number} may not use keys")
    return replace(plain(number), denied=denied, head=b"")


def in_a_workspace_of_its_own(number: int) -> Known:
    return remembered(found(number, workspace=f"workspace-{number}"))


def with_grants(number: int) -> Known:
    grants = [
        Grant(f"datasets/{number}/parts/{part}", PERMISSIONS, 1000 + part) for part in range(10)
    ]
    return remembered(found(number, grants=grants))


def narrowed(number: int) -> Known:
    return remembered(
        found(
            number,
            narrowing=Narrowing(
                role=its_own(ROLES["labeler"]),
                scopes=tuple(f"datasets.part-{number}.field-{field}" for field in range(4)),
                resource=f"projects/{number}",
                allowed_networks=tuple(ip_network((number << 8 | host, 32)) for host in range(5)),
            ),
        )
    )


def patterns(number: int, many: int) -> list[str]:
    return [f"application{number}.things{each:02}.read" for each in range(many)]


def of_a_large_role(_number: int) -> Known:
    return remembered(found(_number, of=role(*patterns(0, 100))))


def of_a_large_role_of_its_own(number: int) -> Known:
    return remembered(found(number, of=role(*patterns(number, 100))))


def with_many_scopes(number: int) -> Known:
    scopes = tuple(patterns(number, 50))
    return remembered(found(number, of=role("*"), narrowing=Narrowing(scopes=scopes)))


def taken(make: Callable[[int], Known]) -> tuple[float, float]:
    """Bytes that each of many takes, as seen and as counted."""
    make(0)
    gc.collect()
    tracemalloc.start()
    try:
        kept = [make(number) for number in range(COUNT)]
        _permissions.cache_clear()  # bounded by itself
        gc.collect()
        seen = tracemalloc.get_traced_memory()[0] - sys.getsizeof(kept)
        return seen / COUNT, sum(each.size for each in kept) / COUNT
    finally:
        tracemalloc.stop()


def test_a_plain_key_takes_a_kibibyte_at_most_all_in() -> None:
    cache: Cache[Known] = Cache(64 * KIBIBYTE * KIBIBYTE)
    empty = cache.bytes
    for number in range(COUNT):
        cache.put(f"{number:012}", plain(number))
    assert (cache.bytes - empty) / COUNT <= KIBIBYTE


@pytest.mark.parametrize(
    ("make", "counted_as"),
    [
        (plain, "_KNOWN_BYTES"),
        (expiring, "_KNOWN_BYTES"),
        (of_a_session, "_IDLE_BYTES"),
        (dead, "_DENIED_BYTES"),
        (with_grants, "_GRANT_BYTES"),
        (narrowed, "_NETWORK_BYTES"),
        (of_a_large_role, "_KNOWN_BYTES"),
        (of_a_large_role_of_its_own, "_PATTERN_BYTES"),
        (with_many_scopes, "_TERMS_BYTES"),
        (in_a_workspace_of_its_own, "_TERMS_BYTES"),
    ],
)
def test_what_is_remembered_takes_no_more_than_is_counted(
    make: Callable[[int], Known], counted_as: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, counted = taken(make)
    assert seen <= counted <= 2 * seen
    monkeypatch.setattr(module, counted_as, 0)
    kept = [make(number) for number in range(COUNT)]
    assert sum(each.size for each in kept) / COUNT < seen


def test_terms_that_have_no_room_among_those_of_many_are_counted_with_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_OF_MANY_MAX_COUNT", 0)
    seen, counted = taken(in_a_workspace_of_its_own)
    assert seen <= counted <= 2 * seen
