"""What a new key may be given, by example; test_authority.py has the law."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from keywright.domain.authority import Authority
from keywright.domain.creation import (
    check_authority,
    check_environment,
    check_form,
    check_owner,
    check_permission,
    check_within,
)
from keywright.domain.decision import Principal, identify
from keywright.domain.directory import (
    NO_POLICY,
    Grant,
    KeyCreation,
    KeyPolicy,
    Owner,
    State,
    User,
    Workspace,
)
from keywright.domain.errors import InvalidFields, Reason, ServiceError
from keywright.domain.keys import Narrowing, Network
from keywright.domain.roles import WITHOUT_ROLE
from tests.support.credentials import NOW, ROLES, credential, principal, role, user

ANN = user("ann", ROLES["member"])
BOB = user("bob", ROLES["member"])
ADMIN = user("admin", ROLES["admin"])
MANAGER_OF_A = Grant("projects/a", ROLES["manager"].permissions)
HOUR = timedelta(hours=1)


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


def caller(
    owner: User = ANN,
    narrowing: Narrowing | None = None,
    grants: Sequence[Grant] = (),
    expire_time: datetime | None = None,
) -> Principal:
    given = credential(owner, narrowing=narrowing, grants=grants, expire_time=expire_time)
    if narrowing is None or not narrowing.allowed_networks:
        return principal(given)
    return Principal(given, given.authority.at(""), NOW)


def create(
    by: Principal,
    owner: User | None = None,
    narrowing: Narrowing | None = None,
    grants: Sequence[Grant] | None = None,
    expire_time: datetime | None = None,
    policy: KeyPolicy = NO_POLICY,
) -> None:
    owner = owner or by.user
    if grants is None:
        grants = by.credential.authority.grants if owner == by.user else ()
    narrowing = narrowing or Narrowing()
    check_permission(by, owner, narrowing.resource, policy)
    check_within(by, Owner(owner, tuple(grants)), narrowing, expire_time)


def refused(
    by: Principal,
    owner: User | None = None,
    narrowing: Narrowing | None = None,
    grants: Sequence[Grant] | None = None,
    expire_time: datetime | None = None,
    policy: KeyPolicy = NO_POLICY,
) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        create(by, owner, narrowing, grants, expire_time, policy)
    return error.value


def test_a_member_may_create_a_key_of_its_own_as_wide_as_it_is() -> None:
    create(caller())
    create(caller(), narrowing=Narrowing(scopes=("datasets.*", "projects.read")))
    create(caller(), narrowing=Narrowing(role=ROLES["collaborator"]))
    create(caller(), narrowing=Narrowing(scopes=("*",)))  # still no more than the member itself


def test_creating_needs_the_permission_for_it() -> None:
    keyless = caller(user("eve", role("datasets.*")))

    assert refused(keyless).reason is Reason.CALLER_PERMISSION_MISSING
    assert refused(keyless).details == {"permission": "keys.own"}
    assert refused(caller(), BOB).details == {"permission": "keys.any"}


def test_an_admin_creates_for_everybody() -> None:
    for owner in (ANN, BOB, ADMIN):
        create(caller(ADMIN), owner)


def test_a_narrowed_key_cannot_make_a_wider_one() -> None:
    narrow = caller(narrowing=Narrowing(scopes=("keys.own", "datasets.read")))
    create(narrow, narrowing=Narrowing(scopes=("datasets.read",)))

    for wider in (Narrowing(), Narrowing(scopes=("datasets.*",)), Narrowing(scopes=("*",))):
        error = refused(narrow, narrowing=wider)
        assert error.reason is Reason.AUTHORITY_EXCEEDED
        assert error.details == {"field": "key.scopes"}


def test_a_key_narrowed_by_a_role_cannot_make_a_wider_one() -> None:
    narrow = caller(narrowing=Narrowing(role=ROLES["labeler"]))
    create(narrow, narrowing=Narrowing(role=ROLES["labeler"]))
    create(narrow, narrowing=Narrowing(scopes=("labels.read",)))

    assert refused(narrow).reason is Reason.AUTHORITY_EXCEEDED


def test_a_role_above_one_s_own_is_refused_naming_the_role() -> None:
    error = refused(caller(), narrowing=Narrowing(role=ROLES["admin"]))

    assert error.reason is Reason.AUTHORITY_EXCEEDED
    assert error.details == {"field": "key.role"}


def test_who_may_create_for_others_gives_them_no_more_than_it_has() -> None:
    steward = caller(user("steward", role("keys.any", "keys.own", "datasets.*")))
    error = refused(steward, BOB)

    assert error.reason is Reason.AUTHORITY_EXCEEDED
    assert "projects.*" in error.message
    create(steward, BOB, Narrowing(scopes=("datasets.read",)))
    assert refused(steward, ADMIN).reason is Reason.AUTHORITY_EXCEEDED


def test_who_may_create_for_others_does_not_get_at_their_grants() -> None:
    steward = caller(user("steward", role("keys.any", "datasets.*", "labels.*")))
    labeler = user("lea", role("labels.*"))
    create(steward, labeler)

    error = refused(steward, labeler, grants=[MANAGER_OF_A])
    assert error.reason is Reason.AUTHORITY_EXCEEDED
    assert "on projects/a" in error.message
    create(steward, labeler, Narrowing(scopes=("labels.*",)), grants=[MANAGER_OF_A])
    create(steward, labeler, Narrowing(resource="projects/b"), grants=[MANAGER_OF_A])
    below = Narrowing(resource="projects/a/x")
    assert refused(steward, labeler, below, grants=[MANAGER_OF_A]).details["field"] == "key.scopes"


def test_one_s_own_grants_are_one_s_own() -> None:
    create(caller(grants=[MANAGER_OF_A]))


def test_a_bound_key_needs_keys_bound_there_or_keys_any() -> None:
    bound = Narrowing(resource="projects/a/x")

    assert refused(caller(), narrowing=bound).details == {"permission": "keys.bound"}
    create(caller(grants=[MANAGER_OF_A]), narrowing=bound)
    create(caller(ADMIN), narrowing=bound)
    elsewhere = Narrowing(resource="projects/b")
    assert refused(caller(grants=[MANAGER_OF_A]), narrowing=elsewhere).details == {
        "permission": "keys.bound"
    }


def test_a_policy_may_let_everyone_bind_keys_of_their_own() -> None:
    bound = Narrowing(resource="projects/a")

    create(caller(), narrowing=bound, policy=KeyPolicy(free_binding=True))
    assert refused(caller(), BOB, bound, policy=KeyPolicy(free_binding=True)).details == {
        "permission": "keys.any"
    }


def test_a_policy_may_leave_creating_to_administrators() -> None:
    only_admins = KeyPolicy(key_creation=KeyCreation.ADMINS)

    assert refused(caller(), policy=only_admins).reason is Reason.POLICY_CREATION_NOT_ALLOWED
    create(caller(ADMIN), policy=only_admins)
    create(caller(ADMIN), BOB, policy=only_admins)


def test_who_manages_a_resource_creates_bound_keys_for_its_service_users() -> None:
    robot = user("robot", WITHOUT_ROLE, resource="projects/a")
    manager = caller(grants=[MANAGER_OF_A])
    bound = Narrowing(resource="projects/a")

    create(manager, robot, bound, grants=[Grant("projects/a", ROLES["viewer"].permissions)])
    assert refused(manager, robot).reason is Reason.FIELD_INVALID
    assert refused(caller(), robot, bound).details == {"permission": "keys.any"}
    above = [Grant("projects/a", role("billing.read").permissions)]
    assert refused(manager, robot, bound, above).reason is Reason.AUTHORITY_EXCEEDED


def test_no_key_is_given_a_role_above_its_owner_s() -> None:
    """It would promise what it never has."""
    error = refused(caller(ADMIN), BOB, Narrowing(role=ROLES["admin"]))

    assert error.reason is Reason.AUTHORITY_EXCEEDED
    assert error.details == {"field": "key.role"}
    assert "the owner lacks" in error.message


def test_a_narrowed_key_makes_none_that_would_gain_more_than_itself_later() -> None:
    """Ann lacks users.manage today; made an admin, a key with that scope would have it."""
    narrow = caller(narrowing=Narrowing(scopes=("keys.own", "datasets.read")))

    error = refused(narrow, narrowing=Narrowing(scopes=("datasets.read", "users.manage")))
    assert error.reason is Reason.AUTHORITY_EXCEEDED
    assert "users.manage" in error.message


def test_a_role_that_may_be_edited_is_no_limit_to_rely_on() -> None:
    """A key narrowed to it may come to have more than the scopes of the key that made it."""
    own = role("datasets.read")
    scoped = caller(narrowing=Narrowing(scopes=("keys.own", "datasets.read")))
    error = refused(scoped, narrowing=Narrowing(role=own))
    assert error.reason is Reason.AUTHORITY_EXCEEDED
    create(scoped, narrowing=Narrowing(role=own, scopes=("datasets.read",)))

    by_role = caller(narrowing=Narrowing(role=(wide := role("keys.own", "datasets.read"))))
    create(by_role, narrowing=Narrowing(role=wide))  # the two change together
    create(by_role, narrowing=Narrowing(scopes=("datasets.read",)))


def test_a_token_whose_grace_runs_makes_no_key_that_lasts_longer() -> None:
    """Whoever found an old token must not make it last."""
    given = credential(ANN, secret_not_after=NOW + HOUR, expire_time=NOW + 2 * HOUR)
    retiring = principal(given)
    create(retiring, expire_time=NOW + HOUR)

    for later in (None, NOW + HOUR + timedelta(microseconds=1)):
        error = refused(retiring, expire_time=later)
        assert error.reason is Reason.AUTHORITY_EXCEEDED
        assert error.details == {"field": "key.expire_time"}


def test_a_bound_key_gives_nothing_of_the_workspace() -> None:
    """It has no authority there, and is told so like anybody else."""
    bound = credential(ADMIN, narrowing=Narrowing(resource="projects/a"))
    by_bound = identify(bound, None, NOW)
    with pytest.raises(ServiceError) as error:
        check_authority(by_bound, Authority("default", ROLES["member"]), "user.email")
    assert error.value.reason is Reason.AUTHORITY_EXCEEDED


def test_a_manager_may_give_a_bound_key_the_role_it_has_there() -> None:
    labeler = caller(user("lea", ROLES["labeler"]), grants=[MANAGER_OF_A])

    create(labeler, narrowing=Narrowing(role=ROLES["editor"], resource="projects/a"))
    unbound = refused(labeler, narrowing=Narrowing(role=ROLES["editor"]))
    assert unbound.details == {"field": "key.role"}


def test_a_key_does_not_outlive_the_key_that_creates_it() -> None:
    brief = caller(expire_time=NOW + HOUR)
    create(brief, expire_time=NOW + HOUR)

    for later in (None, NOW + HOUR + timedelta(microseconds=1)):
        error = refused(brief, expire_time=later)
        assert error.reason is Reason.AUTHORITY_EXCEEDED
        assert error.details == {"field": "key.expire_time"}


def test_a_key_of_a_network_makes_keys_of_that_network() -> None:
    office = caller(narrowing=Narrowing(allowed_networks=networks("192.0.2.0/24", "2001:db8::/32")))
    for within in ("192.0.2.0/24", "192.0.2.7/32", "2001:db8:1::/48"):
        create(office, narrowing=Narrowing(allowed_networks=networks(within)))

    for looser in ((), ("192.0.0.0/16",), ("192.0.2.0/24", "198.51.100.0/24"), ("::/0",)):
        error = refused(office, narrowing=Narrowing(allowed_networks=networks(*looser)))
        assert error.reason is Reason.AUTHORITY_EXCEEDED
        assert error.details == {"field": "key.allowed_networks"}


def test_guests_and_disabled_users_get_no_key() -> None:
    with pytest.raises(ServiceError) as guest:
        check_owner(user(of=ROLES["guest"]))
    with pytest.raises(ServiceError) as disabled:
        check_owner(user(state=State.DISABLED))

    assert guest.value.reason is Reason.KEYS_NOT_ALLOWED
    assert disabled.value.reason is Reason.STATE_CONFLICT


def test_a_key_is_of_an_environment_that_the_workspace_has_or_of_its_first() -> None:
    workspace = Workspace("default", State.ACTIVE, ("prod", "test"))

    assert check_environment(workspace, "") == "prod"
    assert check_environment(workspace, "test") == "test"
    with pytest.raises(InvalidFields, match="prod, test"):
        check_environment(workspace, "live")


@pytest.mark.parametrize(
    ("narrowing", "field"),
    [
        (Narrowing(scopes=("datasets.read", "data sets")), "key.scopes[1]"),
        (Narrowing(scopes=("a.*", "a.*")), "key.scopes"),
        (Narrowing(scopes=tuple(f"a.b{n}" for n in range(101))), "key.scopes"),
        (Narrowing(resource="projects//a"), "key.resource"),
        (Narrowing(allowed_networks=networks("192.0.2.0/24") * 101), "key.allowed_networks"),
    ],
)
def test_a_narrowing_that_cannot_be_one_is_refused_naming_the_part(
    narrowing: Narrowing, field: str
) -> None:
    with pytest.raises(InvalidFields) as error:
        check_form(narrowing)
    assert [violation.field for violation in error.value.violations] == [field]
