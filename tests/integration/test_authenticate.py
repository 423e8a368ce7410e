"""Authenticate: what a token is good for, and the one reason for which it is not."""

from dataclasses import replace
from typing import Any

import grpc
import pytest

from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from keywright.v1 import auth_service_pb2, denial_pb2, error_reason_pb2
from tests.support.service import PARENT, Caller, RefusedError, Service, first_admin, refusal

FORMAT = TokenFormat()


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def permissions(service: Service, token: str, resource: str = "") -> list[str]:
    return sorted((await service.admin.authenticate(token, resource=resource)).permissions)


async def denied(service: Service, token: str, reason: str, **asked: object) -> RefusedError:
    """Authenticate, which is to be denied for `reason` in every way in which that is told."""
    error = await refusal(service.admin.authenticate(token, **asked))
    assert error.reason == reason
    denial = error.denial
    assert isinstance(denial, denial_pb2.Denial)
    assert denial.reason == error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert denial.code == error.code.value[0]
    assert dict(denial.metadata) == dict(error.info.metadata)
    return error


# --- who it is --------------------------------------------------------------------------------

NARROWINGS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"role": f"{PARENT}/roles/admin"}, False),  # it is the user's today; tomorrow it may not be
    ({"scopes": ["*"]}, False),
    ({"resource": "projects/abc"}, False),
    ({"allowed_networks": ["127.0.0.0/8"]}, True),  # it says from where, and not what
]


@pytest.mark.parametrize(("narrowing", "whole"), NARROWINGS, ids=str)
async def test_the_answer_says_whether_the_key_has_its_users_whole_authority(
    service: Service, narrowing: dict[str, Any], *, whole: bool
) -> None:
    created = await service.admin.create_key(**narrowing)
    found = await service.admin.authenticate(
        created.token, resource="projects/abc", client_address="127.0.0.1"
    )
    assert found.role == f"{PARENT}/roles/admin"
    assert found.whole_authority is whole


async def test_the_answer_says_who_it_is_with_which_key(service: Service) -> None:
    await service.admin.create_user(
        "ann", "collaborator", display_name="Ann", external_id="a-1", labels={"team": "vision"}
    )
    created = await service.admin.create_key(
        user=user("ann"), display_name="CI", labels={"ci": ""}, scopes=["datasets.*", "keys.own"]
    )
    found = await service.admin.authenticate(created.token)

    assert found.workspace == PARENT
    assert found.user.name == user("ann")
    assert (found.user.email, found.user.display_name) == ("ann@example.com", "Ann")
    assert (found.user.external_id, dict(found.user.labels)) == ("a-1", {"team": "vision"})
    assert found.credential.name == created.key.name
    assert (found.credential.display_name, dict(found.credential.labels)) == ("CI", {"ci": ""})
    assert found.environment == "live"
    assert found.role == f"{PARENT}/roles/collaborator"
    assert list(found.permissions) == ["datasets.read", "keys.own"]
    assert list(found.scopes) == ["datasets.*", "keys.own"]
    assert not found.HasField("expire_time")
    assert found.revision


async def live_role(service: Service) -> None:
    """A role is looked up at each call: what was changed a moment ago counts."""
    bea = await service.person("bea", "labeler")
    token = bea.token or ""
    assert "datasets.read" not in await permissions(service, token)
    for role, expected in (("collaborator", True), ("labeler", False), ("member", True)):
        await service.sql(
            "UPDATE keywright.user SET role = r.id, role_scope = r.scope "
            "FROM keywright.role r WHERE user_id = 'bea' AND r.role_id = $1",
            role,
        )
        found = await service.admin.authenticate(token, resource="")
        assert found.role == f"{PARENT}/roles/{role}"
        assert any(each.startswith("datasets.") for each in found.permissions) is expected


async def test_a_role_counts_from_the_moment_it_is_changed(service: Service) -> None:
    await live_role(service)


async def test_a_key_s_role_follows_what_becomes_of_that_role(service: Service) -> None:
    await service.sql(
        "INSERT INTO keywright.role (workspace, role_id, permissions, may_hold_keys) "
        "SELECT id, 'changing', '{datasets.read,labels.read}', true FROM keywright.workspace "
        "WHERE workspace_id = 'default'"
    )
    created = await service.admin.create_key(role=f"{PARENT}/roles/changing")
    assert await permissions(service, created.token) == ["datasets.read", "labels.read"]

    await service.sql(
        "UPDATE keywright.role SET permissions = '{labels.read}' WHERE role_id = 'changing'"
    )
    assert await permissions(service, created.token) == ["labels.read"]


async def test_a_grant_adds_permissions_on_its_resource_and_below_only(service: Service) -> None:
    cem = await service.person("cem", "labeler")
    await service.sql(
        """
        INSERT INTO keywright.grant (workspace, grant_id, "user", resource, role, role_scope)
        SELECT u.workspace, 'g-cem', u.id, 'projects/a', r.id, r.scope
        FROM keywright.user u, keywright.role r
        WHERE u.user_id = 'cem' AND r.role_id = 'editor'
        """
    )
    token, own = cem.token or "", ["keys.own", "labels.*"]

    for resource in ("projects/a", "projects/a/datasets/1"):
        found = await permissions(service, token, resource)
        assert set(found) == {
            *own, "projects.read", "projects.write", "datasets.read", "datasets.write"
        }  # fmt: skip
    for resource in ("", "projects", "projects/ab", "projects/b"):
        assert await permissions(service, token, resource) == own
    await service.sql("DELETE FROM keywright.grant WHERE grant_id = 'g-cem'")
    assert await permissions(service, token, "projects/a") == own


# --- what is no token of ours -----------------------------------------------------------------


async def test_what_is_no_token_is_malformed_and_told_how(service: Service) -> None:
    token = service.admin_token

    for text, defect in (
        (token[:-1], "truncated"),
        (f"{token}0", "extended"),
        (token[:-1] + ("0" if token[-1] != "0" else "1"), "wrong_checksum"),
        (f"xx{token[2:]}", "wrong_brand"),
        (f"{token}\0", "illegal_character"),
    ):
        error = await denied(service, text, "TOKEN_MALFORMED")
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert error.info.metadata["defect"] == defect
        assert text not in error.message
    await denied(service, "", "TOKEN_MALFORMED")


async def test_everything_well_formed_that_proves_nothing_gets_the_same_answer(
    service: Service,
) -> None:
    created = await service.admin.create_key()
    revoked = await service.admin.create_key()
    await service.admin.revoke_key(revoked.key.name)
    token, dead = FORMAT.parse(created.token), FORMAT.parse(revoked.token)
    wrong = Secret(bytes(32))

    answers = set()
    for forged in (
        replace(token, prefix="000000000000"),
        replace(token, secret=wrong),
        replace(dead, secret=wrong),  # why it does not stand is not told either
        replace(token, environment="test"),
        replace(token, environment="nowhere"),
    ):
        error = await denied(service, FORMAT.render(forged).reveal(), "TOKEN_UNKNOWN")
        answers.add((error.code, error.message, str(error.denial)))
    assert len(answers) == 1
    await service.admin.authenticate(created.token)


async def test_a_token_of_another_workspace_is_unknown_here(service: Service) -> None:
    theirs = await first_admin(service.dsn, "other")

    error = await denied(service, theirs, "TOKEN_UNKNOWN")
    never_made = FORMAT.render(replace(FORMAT.parse(theirs), prefix="000000000000")).reveal()
    assert error.message == (await denied(service, never_made, "TOKEN_UNKNOWN")).message
    found = await service.as_caller(theirs).authenticate(theirs)
    assert found.workspace == "workspaces/other"
    mine = await refusal(service.as_caller(theirs).authenticate(service.admin_token))
    assert mine.reason == "TOKEN_UNKNOWN"


@pytest.fixture(scope="module", name="operator")
async def _operator(service: Service) -> Caller:
    """A service of the operators, who may look into every workspace."""
    await service.sql(
        """
        INSERT INTO keywright.user
            (workspace, user_id, kind, email, email_key, role, role_scope)
        SELECT w.id, 'operator', 'HUMAN', 'op@example.com', 'op@example.com', r.id, r.scope
        FROM keywright.workspace w, keywright.role r
        WHERE w.workspace_id = 'system' AND r.role_id = 'admin'
        """
    )
    created = await service.admin.create_key()
    await service.sql(
        """
        UPDATE keywright.key k
        SET workspace = u.workspace, owner = u.id, owner_user_id = u.user_id, creator = NULL
        FROM keywright.user u WHERE u.user_id = 'operator' AND k.key_id = $1
        """,
        created.key.name.rpartition("/")[2],
    )
    return service.as_caller(created.token)


async def test_an_operator_s_service_with_the_permission_sees_all_workspaces(
    service: Service, operator: Caller
) -> None:
    assert (await operator.authenticate(service.admin_token)).workspace == PARENT


# --- what it is good for ----------------------------------------------------------------------


async def test_permissions_that_are_missing_are_named(service: Service) -> None:
    created = await service.admin.create_key(scopes=["datasets.*"])
    await service.admin.authenticate(created.token, required_permissions=["datasets.read"])

    error = await denied(
        service,
        created.token,
        "PERMISSION_MISSING",
        required_permissions=["datasets.read", "labels.read", "audit.read"],
    )
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.denial is not None
    assert list(error.denial.missing_permissions) == ["audit.read", "labels.read"]


async def test_a_pattern_cannot_be_required(service: Service) -> None:
    for text in ("datasets.*", "*", "", "data sets"):
        error = await refusal(
            service.admin.authenticate(service.admin_token, required_permissions=[text])
        )
        assert (error.reason, error.fields) == ("FIELD_INVALID", ["required_permissions[0]"])


async def test_a_key_of_one_environment_is_not_good_for_another(service: Service) -> None:
    created = await service.admin.create_key(environment="test")
    await service.admin.authenticate(created.token, required_environment="test")

    error = await denied(
        service, created.token, "ENVIRONMENT_MISMATCH", required_environment="live"
    )
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_bound_key_is_good_on_its_resource_only_and_asks_which(service: Service) -> None:
    created = await service.admin.create_key(resource="projects/a")
    for resource in ("projects/a", "projects/a/x"):
        found = await service.admin.authenticate(created.token, resource=resource)
        assert found.resource == "projects/a"

    await denied(service, created.token, "RESOURCE_REQUIRED")
    for resource in ("projects/b", "projects/ab", "projects"):
        await denied(service, created.token, "RESOURCE_MISMATCH", resource=resource)


async def test_a_key_of_networks_is_good_there_only_and_asks_where(service: Service) -> None:
    created = await service.admin.create_key(allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    for address in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"):
        found = await service.admin.authenticate(created.token, client_address=address)
        assert list(found.allowed_networks) == ["192.0.2.0/24", "2001:db8::/32"]

    await denied(service, created.token, "ADDRESS_REQUIRED")
    for address in ("192.0.3.1", "::ffff:192.0.3.1", "2001:db9::1", "::c000:209"):
        await denied(service, created.token, "ADDRESS_NOT_ALLOWED", client_address=address)
    error = await refusal(service.admin.authenticate(created.token, client_address="nowhere"))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["client_address"])


async def test_a_network_written_as_mapped_ipv6_is_the_ipv4_network(service: Service) -> None:
    created = await service.admin.create_key(allowed_networks=["::ffff:192.0.2.0/120"])

    for address in ("192.0.2.9", "::ffff:192.0.2.9"):
        await service.admin.authenticate(created.token, client_address=address)
    await denied(service, created.token, "ADDRESS_NOT_ALLOWED", client_address="192.0.3.1")


async def test_a_disabled_workspace_denies_all_its_keys_until_it_is_enabled(
    service: Service, operator: Caller
) -> None:
    theirs = await first_admin(service.dsn, "closing")
    caller = service.as_caller(theirs)
    await caller.authenticate(theirs)
    state = "UPDATE keywright.workspace SET state = $1 WHERE workspace_id = 'closing'"
    await service.sql(state, "DISABLED")

    error = await refusal(operator.authenticate(theirs))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason == "WORKSPACE_DISABLED"
    error = await refusal(caller.authenticate(theirs))
    assert error.reason == "CALLER_CREDENTIAL_INVALID"
    assert error.info.metadata["caller_reason"] == "WORKSPACE_DISABLED"
    await service.sql(state, "ACTIVE")
    await caller.authenticate(theirs)


async def test_a_disabled_key_is_denied(service: Service) -> None:
    created = await service.admin.create_key()
    await service.sql(
        "UPDATE keywright.key SET state = 'DISABLED' WHERE key_id = $1",
        created.key.name.rpartition("/")[2],
    )
    await denied(service, created.token, "KEY_DISABLED")


async def guests(service: Service) -> None:
    """A key made before its user became a guest is denied."""
    dan = await service.person("dan", "labeler")
    await service.admin.authenticate(dan.token or "")
    await service.sql(
        "UPDATE keywright.user SET role = r.id, role_scope = r.scope "
        "FROM keywright.role r WHERE user_id = 'dan' AND r.role_id = 'guest'"
    )
    error = await denied(service, dan.token or "", "KEYS_NOT_ALLOWED")
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


async def test_guests_do_not_use_keys(service: Service) -> None:
    await guests(service)


# --- who may ask ------------------------------------------------------------------------------


async def test_whoever_presents_its_own_credential_needs_no_permission(service: Service) -> None:
    eve = await service.person("eve", "labeler")

    assert (await eve.authenticate(eve.token or "")).user.name == user("eve")


async def test_a_caller_without_the_permission_learns_nothing_of_other_tokens(
    service: Service,
) -> None:
    fay = await service.person("fay", "member")

    for token in (service.admin_token, "garbage"):
        error = await refusal(fay.authenticate(token))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "auth.authenticate"
        assert error.denial is None


async def test_an_authenticator_may_do_this_and_nothing_else(service: Service) -> None:
    sidecar = await service.person("sidecar", "authenticator")

    assert (await sidecar.authenticate(service.admin_token)).user.name == user("admin")
    for call in (sidecar.list_keys(), sidecar.create_key(), sidecar.list_users()):
        assert (await refusal(call)).reason == "CALLER_PERMISSION_MISSING"


async def test_the_caller_s_own_failing_credential_is_never_taken_for_the_presented_one(
    service: Service,
) -> None:
    gil = await service.person("gil", "authenticator")
    await service.admin.disable_user(user("gil"))
    callers: dict[str, Caller] = {
        "CALLER_CREDENTIAL_INVALID": gil,
        "CALLER_CREDENTIAL_MISSING": service.as_caller(None),
    }

    for reason, caller in callers.items():
        error = await refusal(caller.authenticate(service.admin_token))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == reason
        assert error.denial is None


# --- the position -----------------------------------------------------------------------------


async def test_an_answer_knows_what_its_caller_has_seen(service: Service) -> None:
    created = await service.admin.create_key()
    revoked = await service.admin.revoke_key(created.key.name)

    found = await service.admin.authenticate(service.admin_token, min_revision=revoked.revision)
    assert found.revision == revoked.revision
    error = await refusal(service.admin.authenticate(service.admin_token, min_revision="forged"))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["min_revision"])


async def test_a_signed_request_is_refused_rather_than_ignored(service: Service) -> None:
    request = auth_service_pb2.AuthenticateRequest(token=service.admin_token)
    request.signed_request.signature_base = "x"

    error = await refusal(service.admin.auth("Authenticate", request))
    assert error.reason == "FIELD_UNIMPLEMENTED"
