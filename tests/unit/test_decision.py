"""Does this credential stand, and may it do what is asked? One reason at a time, then the order."""

import ipaddress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keywright.domain.decision import Asked, Credential, decide
from keywright.domain.directory import Grant, State
from keywright.domain.errors import Denied, Reason, Status
from keywright.domain.keys import KeyState, Narrowing, parse_address, parse_network
from keywright.domain.permissions import AUTHENTICATE_ANY, WORKSPACES_MANAGE, PermissionSet
from tests.support.credentials import NOW, ROLES, credential, principal, role, user

TICK = timedelta(microseconds=1)
OFFICE = Narrowing(allowed_networks=(ipaddress.ip_network("192.0.2.0/24"),))
PROJECT = Narrowing(resource="projects/a")


def denied(given: Credential, **asked: Any) -> Denied:
    with pytest.raises(Denied) as error:
        decide(given, Asked(**asked), NOW)
    return error.value


def test_a_plain_key_has_all_its_user_s_permissions() -> None:
    found = decide(credential(), Asked(), NOW)

    assert found.permissions == ROLES["member"].permissions
    assert found.decided_at == NOW


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (credential(stored_state=KeyState.REVOKED), Reason.KEY_REVOKED),
        (credential(expire_time=NOW), Reason.KEY_EXPIRED),
        (credential(stored_state=KeyState.DISABLED), Reason.KEY_DISABLED),
        (credential(secret_not_after=NOW), Reason.TOKEN_RETIRED),
        (credential(workspace_state=State.DISABLED), Reason.WORKSPACE_DISABLED),
        (credential(user(state=State.DISABLED)), Reason.USER_DISABLED),
    ],
)
def test_a_credential_that_does_not_stand_is_unauthenticated(
    given: Credential, reason: Reason
) -> None:
    error = denied(given)

    assert error.reason is reason
    assert error.status is Status.UNAUTHENTICATED


def test_a_role_that_may_not_hold_keys_cannot_use_one_it_has() -> None:
    error = denied(credential(user(of=ROLES["guest"])))

    assert error.reason is Reason.KEYS_NOT_ALLOWED
    assert error.status is Status.PERMISSION_DENIED


def test_a_key_and_a_replaced_token_stand_until_the_very_moment() -> None:
    decide(credential(expire_time=NOW + TICK), Asked(), NOW)
    decide(credential(secret_not_after=NOW + TICK), Asked(), NOW)

    assert denied(credential(expire_time=NOW)).reason is Reason.KEY_EXPIRED
    assert denied(credential(secret_not_after=NOW)).reason is Reason.TOKEN_RETIRED


def test_a_key_is_good_for_its_own_environment_only() -> None:
    decide(credential(), Asked(required_environment="live"), NOW)

    assert denied(credential(), required_environment="test").reason is Reason.ENVIRONMENT_MISMATCH


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, Reason.ADDRESS_REQUIRED),
        ("192.0.3.1", Reason.ADDRESS_NOT_ALLOWED),
        ("2001:db8::1", Reason.ADDRESS_NOT_ALLOWED),
        ("::ffff:192.0.3.1", Reason.ADDRESS_NOT_ALLOWED),
    ],
)
def test_a_key_of_a_network_is_denied_elsewhere_and_when_nobody_says_where(
    address: str | None, reason: Reason
) -> None:
    where = None if address is None else parse_address(address)

    assert denied(credential(narrowing=OFFICE), client_address=where).reason is reason


@pytest.mark.parametrize("address", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"])
def test_a_key_of_a_network_is_good_inside_it(address: str) -> None:
    decide(credential(narrowing=OFFICE), Asked(client_address=parse_address(address)), NOW)


def test_a_network_written_as_mapped_ipv6_is_the_ipv4_network() -> None:
    assert str(parse_network("::ffff:192.0.2.0/120")) == "192.0.2.0/24"
    assert str(parse_network("::/0")) == "::/0"
    for text in ("fe80::1%eth0", "192.0.2.1/24", "somewhere"):
        with pytest.raises(ValueError, match=r".+"):
            parse_network(text)


def test_a_bound_key_is_denied_elsewhere_and_when_nobody_says_where() -> None:
    given = credential(narrowing=PROJECT)

    assert denied(given).reason is Reason.RESOURCE_REQUIRED
    for other in ("projects/b", "projects/ab", "projects"):
        assert denied(given, resource=other).reason is Reason.RESOURCE_MISMATCH
    decide(given, Asked(resource="projects/a"), NOW)
    decide(given, Asked(resource="projects/a/datasets/1"), NOW)


def test_permissions_that_are_missing_are_all_named() -> None:
    error = denied(
        credential(), required_permissions=["labels.read", "keys.any", "audit.read", "keys.any"]
    )

    assert error.reason is Reason.PERMISSION_MISSING
    assert error.details["missing"] == "audit.read,keys.any"


def test_of_very_many_missing_permissions_the_first_are_named() -> None:
    error = denied(credential(), required_permissions=[f"x.y{number}" for number in range(100)])

    assert error.details["missing"] == "x.y0,x.y1,x.y10,x.y11,x.y12,x.y13,x.y14,x.y15"
    assert error.message.endswith("x.y15 and 92 more")


def test_role_scopes_and_the_user_s_role_narrow_together() -> None:
    narrowing = Narrowing(role=ROLES["collaborator"], scopes=("labels.*", "users.read"))
    found = decide(credential(narrowing=narrowing), Asked(), NOW)

    assert found.permissions == PermissionSet(["labels.*"])


def test_a_grant_counts_on_its_resource_and_below_and_nowhere_else() -> None:
    given = credential(grants=[Grant("projects/a", ROLES["manager"].permissions)])

    for resource in ("projects/a", "projects/a/x"):
        decide(given, Asked(resource=resource, required_permissions=["keys.bound"]), NOW)
    for resource in ("", "projects/b", "projects"):
        missing = denied(given, resource=resource, required_permissions=["keys.bound"])
        assert missing.reason is Reason.PERMISSION_MISSING


def test_a_grant_is_narrowed_like_everything_else() -> None:
    given = credential(
        narrowing=Narrowing(scopes=("projects.read",)),
        grants=[Grant("projects/a", ROLES["manager"].permissions)],
    )

    found = decide(given, Asked(resource="projects/a"), NOW)
    assert found.permissions == PermissionSet(["projects.read"])


def test_all_in_a_workspace_does_not_reach_over_its_border() -> None:
    admin = user(of=ROLES["admin"])
    operator = user(of=ROLES["admin"], workspace="system")
    for permission in (AUTHENTICATE_ANY, WORKSPACES_MANAGE):
        asked = Asked(required_permissions=[permission])
        decide(credential(operator), asked, NOW)
        with pytest.raises(Denied) as error:
            decide(credential(admin), asked, NOW)
        assert error.value.reason is Reason.PERMISSION_MISSING


def test_a_permission_that_crosses_workspaces_is_none_elsewhere_even_by_name() -> None:
    given = credential(user(of=role(AUTHENTICATE_ANY)))

    assert not principal(given).may(AUTHENTICATE_ANY)


def mend(given: Credential, asked: Asked, reason: Reason) -> tuple[Credential, Asked]:
    """The same without what `reason` is about."""
    key, owner = given.key, given.user
    match reason:
        case Reason.KEY_REVOKED:
            given = replace(given, record=replace(key, stored_state=KeyState.ACTIVE))
        case Reason.KEY_EXPIRED:
            given = replace(given, record=replace(key, expire_time=None))
        case Reason.TOKEN_RETIRED:
            given = replace(given, secret_not_after=None)
        case Reason.WORKSPACE_DISABLED:
            given = replace(given, workspace_state=State.ACTIVE)
        case Reason.USER_DISABLED:
            given = replace(given, user=replace(owner, state=State.ACTIVE))
        case Reason.KEYS_NOT_ALLOWED:
            given = replace(given, user=replace(owner, role=ROLES["member"]))
        case _:
            asked = replace(asked, **ANSWERS[reason])
    return given, asked


ANSWERS: dict[Reason, dict[str, Any]] = {
    Reason.ENVIRONMENT_MISMATCH: {"required_environment": ""},
    Reason.ADDRESS_REQUIRED: {"client_address": parse_address("192.0.2.1")},
    Reason.RESOURCE_REQUIRED: {"resource": "projects/a"},
    Reason.PERMISSION_MISSING: {"required_permissions": ()},
}


# What concerns the credential itself comes before what concerns this use of it.
def test_of_several_reasons_the_first_in_order_is_given() -> None:
    given = credential(
        user(of=ROLES["guest"], state=State.DISABLED),
        narrowing=replace(OFFICE, resource="projects/a"),
        stored_state=KeyState.REVOKED,
        expire_time=NOW,
        workspace_state=State.DISABLED,
        secret_not_after=NOW,
    )
    asked = Asked(required_environment="test", required_permissions=["audit.read"])
    for reason in (
        Reason.KEY_REVOKED,
        Reason.KEY_EXPIRED,
        Reason.TOKEN_RETIRED,
        Reason.WORKSPACE_DISABLED,
        Reason.USER_DISABLED,
        Reason.KEYS_NOT_ALLOWED,
        Reason.ENVIRONMENT_MISMATCH,
        Reason.ADDRESS_REQUIRED,
        Reason.RESOURCE_REQUIRED,
        Reason.PERMISSION_MISSING,
    ):
        with pytest.raises(Denied) as error:
            decide(given, asked, NOW)
        assert error.value.reason is reason
        given, asked = mend(given, asked, reason)
    decide(given, asked, NOW)
