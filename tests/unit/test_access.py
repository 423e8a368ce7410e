"""Whose keys, users and grants a caller may act on, by example."""

from collections.abc import Sequence

import pytest

from keywright.domain import access
from keywright.domain.decision import Principal, identify
from keywright.domain.directory import Grant, GrantRecord, User
from keywright.domain.keys import Key, Narrowing
from keywright.domain.roles import WITHOUT_ROLE, Role
from tests.support.credentials import NOW, ROLES, credential, role, user

ANN, BOB = user("ann"), user("bob")
OF_A = user("bot", WITHOUT_ROLE, resource="projects/a")
NOTHING = role()


def caller(
    *permissions: str,
    at: str = "",
    bound: str = "",
    scopes: Sequence[str] = (),
    of: User = ANN,
) -> Principal:
    """Somebody with permissions throughout the workspace, or by a grant at a resource."""
    owner = user(of.user_id, NOTHING if at else role(*permissions))
    grants = [Grant(at, role(*permissions).permissions)] if at else []
    narrowing = Narrowing(scopes=tuple(scopes), resource=bound)
    return identify(credential(owner, narrowing=narrowing, grants=grants), None, NOW)


def key(owner: User = BOB, resource: str = "") -> Key:
    return credential(owner, narrowing=Narrowing(resource=resource)).key


def grant(
    of: User = BOB, resource: str = "projects/a", what: Role = ROLES["viewer"]
) -> GrantRecord:
    return GrantRecord("default", "g", of, resource, what, "", NOW, 1)


# --- keys -------------------------------------------------------------------------------------


def test_own_keys_are_covered_by_keys_own_and_all_by_keys_any() -> None:
    assert access.covers_key(caller("keys.own"), key(ANN))
    assert not access.covers_key(caller("keys.own"), key(BOB))
    assert access.covers_key(caller("keys.any"), key(ANN))
    assert access.covers_key(caller("keys.any"), key(BOB))
    assert not access.covers_key(caller("labels.*"), key(ANN))


def test_a_bound_key_is_covered_where_its_resource_is_managed() -> None:
    manager = caller("keys.bound", at="projects/a")

    for covered in ("projects/a", "projects/a/1"):
        assert access.covers_key(manager, key(BOB, covered))
    for uncovered in ("", "projects", "projects/ab", "projects/b"):
        assert not access.covers_key(manager, key(BOB, uncovered))
    assert access.covers_key(caller("keys.bound"), key(BOB, "projects/b"))
    assert not access.covers_key(caller("keys.bound"), key(BOB))


def test_the_key_of_somebody_gone_is_nobody_s_own() -> None:
    gone = credential(BOB).key
    orphan = Key(
        **{each: getattr(gone, each) for each in Key.__slots__} | {"owner_internal_id": None}
    )

    assert not access.covers_key(caller("keys.own", of=BOB), orphan)
    assert access.covers_key(caller("keys.any"), orphan)


def test_a_token_takes_more_than_the_end_of_a_key() -> None:
    manager = caller("keys.bound", at="projects/a")

    assert access.covers_key(manager, key(BOB, "projects/a"))
    assert not access.may_act_as(manager, BOB)
    assert access.may_act_as(manager, OF_A)
    assert access.may_act_as(caller("keys.any"), BOB)
    assert access.may_act_as(caller("keys.own"), ANN)
    assert not access.may_act_as(caller("keys.own"), BOB)


def test_nobody_acts_as_itself_without_permission_for_own_keys() -> None:
    assert not access.may_act_as(caller("keys.bound", at="projects/a"), ANN)
    assert not access.may_act_as(caller("labels.*"), ANN)
    assert access.may_act_as(caller("keys.any"), ANN)


# --- users ------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["projects/a", "projects/a/1"])
def test_service_users_are_managed_with_their_resource(resource: str) -> None:
    bot = user("bot", WITHOUT_ROLE, resource=resource)
    manager = caller("keys.bound", at="projects/a")

    assert access.manages_resource_of(manager, bot)
    assert access.manages_user(manager, bot)
    assert access.sees_user(manager, bot)


@pytest.mark.parametrize("resource", ["", "projects", "projects/ab", "projects/b"])
def test_others_are_not(resource: str) -> None:
    bot = user("bot", WITHOUT_ROLE if resource else NOTHING, resource=resource)
    manager = caller("keys.bound", at="projects/a")

    assert not access.manages_resource_of(manager, bot)
    assert not access.manages_user(manager, bot)
    assert not access.sees_user(manager, bot)


def test_who_is_an_ordinary_user_is_managed_by_users_manage_only() -> None:
    for permission in ("users.read", "keys.any", "keys.bound", "grants.manage"):
        assert not access.manages_user(caller(permission), BOB)
    assert access.manages_user(caller("users.manage"), BOB)
    assert not access.manages_user(caller("labels.*"), ANN)  # not even oneself


def test_a_user_is_seen_by_itself_and_by_who_reads_manages_or_makes_keys_for_it() -> None:
    assert access.sees_user(caller(), ANN)
    for permission in ("users.read", "users.manage", "keys.any"):
        assert access.sees_user(caller(permission), BOB)
    for permission in ("keys.own", "keys.bound", "grants.read", "roles.read"):
        assert not access.sees_user(caller(permission), BOB)


# --- grants -----------------------------------------------------------------------------------


def test_grants_are_managed_everywhere_or_where_that_was_given() -> None:
    local = caller("grants.manage", at="projects/a")

    assert access.manages_grants(caller("grants.manage"), BOB, "projects/b")
    for resource in ("projects/a", "projects/a/1"):
        assert access.manages_grants(local, BOB, resource)
    for resource in ("projects", "projects/ab", "projects/b"):
        assert not access.manages_grants(local, BOB, resource)


def test_grants_of_service_users_are_managed_with_their_resource() -> None:
    manager = caller("keys.bound", at="projects/a")

    assert access.manages_grants(manager, OF_A, "projects/a/1")
    assert not access.manages_grants(manager, BOB, "projects/a")
    assert not access.manages_grants(manager, ANN, "projects/a")  # nor its own


def test_a_grant_is_seen_by_who_has_it_and_by_who_reads_or_manages_it() -> None:
    assert access.sees_grant(caller(), grant(ANN))
    assert not access.sees_grant(caller(), grant(BOB))
    for permission in ("grants.read", "grants.manage"):
        assert access.sees_grant(caller(permission), grant(BOB))
        assert access.sees_grant(caller(permission, at="projects/a"), grant(BOB))
        assert not access.sees_grant(caller(permission, at="projects/b"), grant(BOB))
    manager = caller("keys.bound", at="projects/a")
    assert access.sees_grant(manager, grant(OF_A, "projects/a/1"))
    assert not access.sees_grant(manager, grant(BOB))


# --- the calling key --------------------------------------------------------------------------


def test_a_key_that_is_bound_acts_on_its_resource_only() -> None:
    bound = caller("*", bound="projects/a")

    assert access.covers_key(bound, key(BOB, "projects/a/1"))
    assert not access.covers_key(bound, key(BOB, "projects/b"))
    assert not access.covers_key(bound, key(ANN))
    assert access.manages_user(bound, OF_A)
    assert not access.manages_user(bound, BOB)
    assert access.manages_grants(bound, BOB, "projects/a")
    assert not access.manages_grants(bound, BOB, "projects/b")


def test_a_key_that_is_narrowed_acts_within_its_scopes_only() -> None:
    narrow = caller("*", scopes=["users.read", "keys.own"])

    assert access.sees_user(narrow, BOB)
    assert not access.manages_user(narrow, BOB)
    assert access.covers_key(narrow, key(ANN))
    assert not access.covers_key(narrow, key(BOB))
    assert not access.sees_grant(narrow, grant(BOB))
