"""Laws of patterns, resources and authority, checked against a naive recomputation.

The universe of permissions is enumerated: what a set of patterns allows is then a plain set, and
union, intersection and containment are those of Python.
"""

import itertools
from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.domain import resources
from keywright.domain.authority import Authority
from keywright.domain.creation import check_permission, check_within
from keywright.domain.decision import Principal
from keywright.domain.directory import NO_POLICY, Grant, KeyPolicy, Owner, User
from keywright.domain.errors import Denied, InvalidFields, Reason, ServiceError
from keywright.domain.keys import KeyState, Narrowing, state_at
from keywright.domain.permissions import PermissionSet, covers
from keywright.domain.policy import MIN_LIFETIME, expiry, spelled
from keywright.domain.roles import Role
from tests.support.credentials import NOW, credential, user

WORDS = ("a", "b", "keys")
UNIVERSE = frozenset(
    ".".join(words) for length in (1, 2, 3) for words in itertools.product(WORDS, repeat=length)
) | {"keys.own", "keys.any", "keys.bound"}
PATTERNS = ("*", *UNIVERSE, *(f"{permission}.*" for permission in UNIVERSE))
PLACES = ("", "p", "p/a", "p/a/x", "p/b", "q")

patterns = st.sampled_from(PATTERNS)
sets = st.builds(PermissionSet, st.lists(patterns, max_size=6))
permissions = st.sampled_from(sorted(UNIVERSE))
places = st.sampled_from(PLACES)


def matches(pattern: str, permission: str) -> bool:
    """What a pattern stands for, by its definition: word by word."""
    if pattern == "*":
        return True
    *words, last = pattern.split(".")
    given = permission.split(".")
    if last == "*":
        return len(given) > len(words) and given[: len(words)] == words
    return given == [*words, last]


def allowed(of: Iterable[str]) -> frozenset[str]:
    """All permissions of the universe that these patterns stand for."""
    return frozenset(each for each in UNIVERSE if any(matches(one, each) for one in of))


# --- patterns ---------------------------------------------------------------------------------


@given(patterns)
def test_every_pattern_covers_itself(pattern: str) -> None:
    assert covers(pattern, pattern)


@given(patterns, patterns)
def test_two_patterns_that_cover_each_other_are_the_same(one: str, other: str) -> None:
    if covers(one, other) and covers(other, one):
        assert one == other


@given(patterns, patterns, patterns)
def test_what_covers_a_cover_covers_all_of_it(one: str, two: str, three: str) -> None:
    if covers(one, two) and covers(two, three):
        assert covers(one, three)


@given(patterns, permissions)
def test_a_pattern_covers_the_permissions_that_it_stands_for(pattern: str, permission: str) -> None:
    assert covers(pattern, permission) == matches(pattern, permission)


@given(patterns, patterns)
def test_two_patterns_are_nested_or_share_nothing(one: str, other: str) -> None:
    if not covers(one, other) and not covers(other, one):
        assert not allowed([one]) & allowed([other])


@given(st.lists(patterns, max_size=6), permissions)
def test_a_set_allows_what_any_of_its_patterns_stands_for(
    given_patterns: list[str], permission: str
) -> None:
    assert PermissionSet(given_patterns).allows(permission) == (
        permission in allowed(given_patterns)
    )


@given(sets, sets, permissions)
def test_what_both_sets_allow_is_what_their_intersection_allows(
    one: PermissionSet, other: PermissionSet, permission: str
) -> None:
    assert (one & other).allows(permission) == (one.allows(permission) and other.allows(permission))


@given(sets, sets, permissions)
def test_what_either_set_allows_is_what_their_union_allows(
    one: PermissionSet, other: PermissionSet, permission: str
) -> None:
    assert (one | other).allows(permission) == (one.allows(permission) or other.allows(permission))


@given(sets, sets, sets)
def test_sets_of_permissions_obey_the_laws_of_sets(
    a: PermissionSet, b: PermissionSet, c: PermissionSet
) -> None:
    assert a & b == b & a
    assert a | b == b | a
    assert a & a == a | a == a
    assert (a & b) & c == a & (b & c)
    assert (a | b) | c == a | (b | c)
    assert a & (b | c) == (a & b) | (a & c)
    assert a & (a | b) == a == a | (a & b)


@given(sets, sets)
def test_nothing_is_lacking_exactly_when_all_is_contained(
    one: PermissionSet, other: PermissionSet
) -> None:
    if not one.lacking(other.patterns):
        assert allowed(other.patterns) <= allowed(one.patterns)
    assert one.lacking((one & other).patterns) == []
    assert (one | other).lacking(one.patterns) == []


# --- resources --------------------------------------------------------------------------------

segments = st.text(st.sampled_from("ab-"), min_size=1, max_size=2)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join)


@given(paths, paths, paths)
def test_resources_cover_themselves_and_what_is_below(one: str, two: str, three: str) -> None:
    parts = one.split("/")
    assert resources.covers(one, two) == (two.split("/")[: len(parts)] == parts)
    assert resources.covers(one, one)
    assert resources.covers(one, f"{one}/{two}")
    if resources.covers(one, two) and resources.covers(two, three):
        assert resources.covers(one, three)
    if resources.covers(one, two) and resources.covers(two, one):
        assert one == two


# --- lifetimes --------------------------------------------------------------------------------

lifetimes = st.timedeltas(timedelta(days=-1), timedelta(days=400))
bounds = st.none() | st.timedeltas(MIN_LIFETIME, timedelta(days=300))


@given(
    maximum=bounds,
    required=st.booleans(),
    ttl=st.none() | lifetimes,
    never=st.booleans(),
    by_moment=st.booleans(),
    share=st.floats(0, 1),
)
def test_no_key_lives_shorter_or_longer_than_the_policy_allows(
    *,
    maximum: timedelta | None,
    required: bool,
    ttl: timedelta | None,
    never: bool,
    by_moment: bool,
    share: float,
) -> None:
    default = None if maximum is None else max(MIN_LIFETIME, maximum * share)
    policy = KeyPolicy(max_ttl=maximum, default_ttl=default, expiry_required=required)
    never = never and ttl is None
    limit = maximum or (timedelta(weeks=25) if required else timedelta.max)
    refused: InvalidFields | None = None
    end = None
    try:
        end = expiry(
            policy,
            NOW,
            ttl=None if by_moment else ttl,
            expire_time=NOW + ttl if by_moment and ttl is not None else None,
            never=never,
        )
    except InvalidFields as error:
        refused = error

    if ttl is not None and ttl < MIN_LIFETIME:
        expected = Reason.POLICY_LIFETIME_TOO_SHORT
    elif ttl is not None and ttl > limit:
        expected = Reason.POLICY_LIFETIME_TOO_LONG
    elif ttl is None and required and (never or default is None):
        expected = Reason.POLICY_EXPIRY_REQUIRED
    else:
        assert refused is None
        lifetime = default if ttl is None and not never else ttl
        assert end == (None if lifetime is None else NOW + lifetime)
        return
    assert refused is not None
    assert refused.reason is expected
    assert expected is Reason.POLICY_LIFETIME_TOO_SHORT or spelled(limit) in refused.message


@given(
    st.sampled_from([KeyState.ACTIVE, KeyState.DISABLED, KeyState.REVOKED]),
    st.none() | lifetimes,
    lifetimes,
    lifetimes,
)
def test_a_key_that_does_not_stand_by_itself_never_stands_again(
    stored: KeyState, lifetime: timedelta | None, first: timedelta, second: timedelta
) -> None:
    end = None if lifetime is None else NOW + lifetime
    early, late = sorted([NOW + first, NOW + second])
    if state_at(stored, end, early) in (KeyState.EXPIRED, KeyState.REVOKED):
        assert state_at(stored, end, late) is state_at(stored, end, early)


# --- creation ---------------------------------------------------------------------------------

roles = st.builds(Role, st.just("r"), sets, st.booleans())
grants = st.lists(
    st.builds(Grant, st.sampled_from(PLACES[1:]), sets), max_size=3, unique_by=lambda g: g.resource
)
narrowings = st.builds(
    Narrowing,
    role=st.none() | roles,
    scopes=st.lists(patterns, max_size=3, unique=True).map(tuple),
    resource=st.just("") | places,
)


def naive(
    owner: User, given_grants: Sequence[Grant], narrowing: Narrowing, place: str
) -> frozenset[str]:
    """What a key may do at a place: role and grants there, less what each narrowing takes away."""
    if narrowing.resource and not f"{place}/".startswith(f"{narrowing.resource}/"):
        return frozenset()
    here = allowed(owner.role.permissions.patterns)
    for each in given_grants:
        if f"{place}/".startswith(f"{each.resource}/"):
            here |= allowed(each.permissions.patterns)
    if narrowing.role is not None:
        here &= allowed(narrowing.role.permissions.patterns)
    if narrowing.scopes:
        here &= allowed(narrowing.scopes)
    return here


@given(roles, grants, narrowings, places)
def test_authority_is_the_user_s_permissions_there_less_what_the_key_takes_away(
    of: Role, given_grants: list[Grant], narrowing: Narrowing, place: str
) -> None:
    here = naive(user(of=of), given_grants, narrowing, place)
    authority = Authority("default", of, given_grants, narrowing)
    if resources.covers(narrowing.resource, place) or not narrowing.resource:
        assert allowed(authority.at(place).patterns) == here
    else:
        assert here == frozenset()
        with pytest.raises(Denied) as denied:
            authority.at(place)
        required = Reason.RESOURCE_MISMATCH if place else Reason.RESOURCE_REQUIRED
        assert denied.value.reason is required


@given(roles, grants, narrowings, places)
def test_a_key_of_whole_authority_may_do_all_that_its_user_may(
    of: Role, given_grants: list[Grant], narrowing: Narrowing, place: str
) -> None:
    if Authority("default", of, given_grants, narrowing).is_whole:
        owner = user(of=of)
        whole = naive(owner, given_grants, Narrowing(), place)
        assert naive(owner, given_grants, narrowing, place) == whole


@settings(max_examples=300)
@given(
    own=st.booleans(),
    calling_role=roles,
    calling_grants=grants,
    calling=narrowings,
    owner_role=roles,
    owner_grants=grants,
    wanted=narrowings,
    powers=st.sets(st.sampled_from(["keys.own", "keys.any", "keys.bound"])),
)
def test_no_key_exceeds_the_credential_that_created_it_nor_its_owner(
    *,
    own: bool,
    calling_role: Role,
    calling_grants: list[Grant],
    calling: Narrowing,
    owner_role: Role,
    owner_grants: list[Grant],
    wanted: Narrowing,
    powers: set[str],
) -> None:
    calling = Narrowing(role=calling.role, scopes=calling.scopes)  # a bound key cannot call
    if powers:  # most that is drawn at random may create nothing
        more = PermissionSet(powers)
        calling_role = Role("r", calling_role.permissions | more, may_hold_keys=True)
        if calling.role is not None:
            narrower = Role("r", calling.role.permissions | more, may_hold_keys=True)
            calling = Narrowing(role=narrower, scopes=calling.scopes)
        if calling.scopes:
            calling = Narrowing(role=calling.role, scopes=(*calling.scopes, *powers))
    creator = user("creator", calling_role)
    owner = creator if own else user("owner", owner_role)
    if own:
        owner_grants = calling_grants
    with_key = credential(creator, narrowing=calling, grants=calling_grants)
    caller = Principal(with_key, with_key.authority.at(""), NOW)
    try:
        check_permission(caller, owner, wanted.resource, NO_POLICY)
        check_within(caller, Owner(owner, tuple(owner_grants)), wanted, None)
    except ServiceError:
        return  # what is refused exceeds nothing
    for place in PLACES:
        created = naive(owner, owner_grants, wanted, place)
        assert created <= naive(creator, calling_grants, calling, place), place
        assert created <= naive(owner, owner_grants, Narrowing(), place), place


@given(roles, grants)
def test_who_may_create_own_keys_may_always_create_one_as_wide_as_the_calling_one(
    of: Role, given_grants: list[Grant]
) -> None:
    creator = user("creator", Role("r", of.permissions | PermissionSet(["keys.own"]), True))
    given_key = credential(creator, grants=given_grants)
    caller = Principal(given_key, given_key.authority.at(""), NOW)

    check_permission(caller, creator, "", NO_POLICY)
    check_within(caller, Owner(creator, tuple(given_grants)), Narrowing(), None)
