"""The life of a key: who may create it, what it may be given, how it ends."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.domain.token import TokenFormat
from keywright.v1 import key_pb2, key_service_pb2
from tests.support.service import ADMIN, PARENT, Caller, Service, another, refusal


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


async def grant(service: Service, user_id: str, resource: str, role_id: str) -> None:
    await service.sql(
        """
        INSERT INTO keywright.grant (workspace, grant_id, "user", resource, role, role_scope)
        SELECT u.workspace, u.user_id || '-' || $3, u.id, $2, r.id, r.scope
        FROM keywright.user u, keywright.role r WHERE u.user_id = $1 AND r.role_id = $3
        """,
        user_id,
        resource,
        role_id,
    )


async def own_role(service: Service, role_id: str, *permissions: str) -> None:
    """A role of the workspace's own."""
    await service.sql(
        "INSERT INTO keywright.role (workspace, role_id, permissions, may_hold_keys) "
        "SELECT id, $1, $2, true FROM keywright.workspace WHERE workspace_id = 'default'",
        role_id,
        list(permissions),
    )


async def set_role(service: Service, user_id: str, role_id: str) -> None:
    await service.sql(
        "UPDATE keywright.user u SET role = r.id, role_scope = r.scope "
        "FROM keywright.role r WHERE u.user_id = $1 AND r.role_id = $2",
        user_id,
        role_id,
    )


def fields(spec: key_pb2.Key) -> tuple[object, ...]:
    return (
        spec.display_name,
        spec.role,
        sorted(spec.scopes),
        spec.resource,
        spec.environment,
        dict(spec.labels),
        sorted(spec.allowed_networks),
        spec.rate_limit.requests,
        spec.rate_limit.period.ToTimedelta(),
    )


# --- creation ---------------------------------------------------------------------------------


async def test_a_member_creates_a_key_of_its_own(service: Service) -> None:
    ann = await service.person("ann")
    created = await ann.create_key(display_name="laptop")

    assert created.key.user == created.key.creator == user("ann")
    assert created.key.user_email == created.key.creator_email == "ann@example.com"
    assert created.key.display_name == "laptop"
    assert created.key.state == key_pb2.KEY_STATE_ACTIVE
    assert created.key.environment == "live"
    assert created.token.startswith(f"kw_live_{created.key.prefix}")
    assert not created.key.HasField("expire_time")
    principal = await service.admin.authenticate(created.token)
    assert principal.user.name == user("ann")
    assert principal.credential.name == created.key.name


async def test_an_admin_creates_a_key_for_another_by_id_or_address(service: Service) -> None:
    await service.admin.create_user("bea")
    for named in ("bea", "bea@example.com", "BEA@Example.COM"):
        created = await service.admin.create_key(user=user(named))

        assert created.key.user == user("bea")
        assert created.key.creator == ADMIN
        assert created.key.creator_credential.startswith(f"{PARENT}/keys/")
        assert (await service.admin.authenticate(created.token)).user.name == user("bea")


async def test_a_member_creates_no_key_for_another(service: Service) -> None:
    cem = await service.person("cem")
    await service.admin.create_user("dan")

    for named in ("dan", "dan@example.com", "nobody"):
        error = await refusal(cem.create_key(user=user(named)))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "keys.any"
    assert (await cem.create_key(user=user("CEM@example.com"))).key.user == user("cem")


async def test_a_key_for_nobody_is_refused_as_not_found(service: Service) -> None:
    for name in (user("nobody"), user("nobody@example.com"), "workspaces/other/users/admin"):
        error = await refusal(service.admin.create_key(user=name))
        assert error.reason == "RESOURCE_NOT_FOUND"
    error = await refusal(
        service.admin.keys(
            "CreateKey", key_service_pb2.CreateKeyRequest(parent="workspaces/system")
        )
    )
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_guests_get_no_key_and_cannot_use_the_one_they_had(service: Service) -> None:
    eve = await service.person("eve")
    await set_role(service, "eve", "guest")

    assert (await refusal(service.admin.authenticate(eve.token or ""))).reason == "KEYS_NOT_ALLOWED"
    assert (await refusal(eve.create_key())).reason == "CALLER_CREDENTIAL_INVALID"
    error = await refusal(service.admin.create_key(user=user("eve")))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "KEYS_NOT_ALLOWED"


async def test_a_disabled_user_gets_no_key(service: Service) -> None:
    await service.admin.create_user("fay")
    await service.admin.disable_user(user("fay"))

    error = await refusal(service.admin.create_key(user=user("fay")))
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "STATE_CONFLICT"


async def test_all_that_is_asked_for_is_on_the_record(service: Service) -> None:
    asked = key_pb2.Key(
        user=ADMIN,
        display_name="everything, 100% _really_",
        role=role("MEMBER"),
        scopes=["datasets.read", "labels.*"],
        resource="projects/abc",
        environment="test",
        labels={"team": "vision", "example.com/tier": ""},
        allowed_networks=["192.0.2.0/24", "2001:db8::/32"],
    )
    asked.rate_limit.requests = 100
    asked.rate_limit.period.FromTimedelta(timedelta(seconds=60))
    response = await service.admin.keys(
        "CreateKey",
        key_service_pb2.CreateKeyRequest(parent=PARENT, key_id="all-of-it", key=asked),
    )

    asked.role = role("member")
    created = response.key
    assert created.name == f"{PARENT}/keys/all-of-it"
    assert fields(created) == fields(asked)
    assert fields(await service.admin.get_key(created.name)) == fields(asked)
    assert response.token.startswith("kw_test_")
    seen = await service.admin.authenticate(
        response.token, resource="projects/abc/1", client_address="192.0.2.1"
    )
    assert seen.role == role("admin")
    assert sorted(seen.permissions) == ["datasets.read", "labels.*"]
    assert seen.rate_limit.requests == 100
    assert seen.environment == "test"


async def test_an_id_chosen_by_the_client_is_taken_once(service: Service) -> None:
    created = await service.admin.create_key(key_id="deploy")
    assert created.key.name == f"{PARENT}/keys/deploy"

    error = await refusal(service.admin.create_key(key_id="deploy"))
    assert error.code is grpc.StatusCode.ALREADY_EXISTS
    assert error.reason == "RESOURCE_ALREADY_EXISTS"
    assert error.fields == ["key_id"]
    await service.admin.revoke_key(created.key.name)
    assert (await refusal(service.admin.create_key(key_id="deploy"))).fields == ["key_id"]
    await service.admin.delete_key(created.key.name)
    assert (await service.admin.create_key(key_id="deploy")).key.name == created.key.name


async def test_of_many_who_want_the_same_id_at_once_one_gets_it(service: Service) -> None:
    results = await asyncio.gather(
        *(service.admin.create_key(key_id="wanted") for _ in range(8)), return_exceptions=True
    )
    tokens = [each.token for each in results if not isinstance(each, BaseException)]
    assert len(tokens) == 1
    await service.admin.authenticate(tokens[0])


async def test_a_lifetime_or_a_moment_ends_the_key(service: Service) -> None:
    before = datetime.now(UTC)
    by_ttl = await service.admin.create_key(ttl=Duration(seconds=3600))
    end = by_ttl.key.expire_time.ToDatetime(UTC)
    assert before + timedelta(hours=1) <= end <= datetime.now(UTC) + timedelta(hours=1)

    moment = Timestamp()
    moment.FromDatetime(before + timedelta(days=400))
    by_moment = await service.admin.create_key(expire_time=moment)
    assert by_moment.key.expire_time == moment
    assert (await service.admin.authenticate(by_moment.token)).expire_time == moment


async def test_a_lifetime_below_a_minute_or_in_the_past_is_refused(service: Service) -> None:
    past = Timestamp()
    past.FromDatetime(datetime.now(UTC) - timedelta(days=1))
    soon = Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(seconds=30))

    for ttl in (Duration(seconds=59, nanos=999_999_000), Duration(seconds=0), Duration(seconds=-1)):
        error = await refusal(service.admin.create_key(ttl=ttl))
        assert (error.reason, error.fields) == ("POLICY_LIFETIME_TOO_SHORT", ["ttl"])
    for moment in (past, soon):
        error = await refusal(service.admin.create_key(expire_time=moment))
        assert (error.reason, error.fields) == ("POLICY_LIFETIME_TOO_SHORT", ["key.expire_time"])


async def test_a_key_is_dead_from_its_last_moment_on(service: Service) -> None:
    created = await service.admin.create_key(ttl=Duration(seconds=60))
    await service.admin.authenticate(created.token)
    await service.sql(
        "UPDATE keywright.key SET expire_time = clock_timestamp() WHERE key_id = $1",
        created.key.name.rpartition("/")[2],
    )

    error = await refusal(service.admin.authenticate(created.token))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason == "KEY_EXPIRED"
    assert (await service.admin.get_key(created.key.name)).state == key_pb2.KEY_STATE_EXPIRED


async def test_an_environment_that_the_workspace_lacks_is_refused_naming_those_it_has(
    service: Service,
) -> None:
    error = await refusal(service.admin.create_key(environment="staging"))

    assert (error.reason, error.fields) == ("FIELD_INVALID", ["key.environment"])
    assert "live, test" in error.message


async def test_a_role_that_is_not_there_is_not_found(service: Service) -> None:
    for name in (role("no-such"), "workspaces/other/roles/admin"):
        error = await refusal(service.admin.create_key(role=name))
        assert error.reason == "RESOURCE_NOT_FOUND"


async def test_the_policy_s_limit_of_keys_holds_also_for_creations_at_once(
    service: Service,
) -> None:
    await service.admin.create_user("gil")
    await service.sql("UPDATE keywright.workspace SET max_keys_per_user = 3")
    try:
        results = await asyncio.gather(
            *(service.admin.create_key(user=user("gil")) for _ in range(9)), return_exceptions=True
        )
        made = [each for each in results if not isinstance(each, BaseException)]
        error = await refusal(service.admin.create_key(user=user("gil")))
        await service.admin.revoke_key(made[0].key.name)
        await service.admin.create_key(user=user("gil"))
    finally:
        await service.sql("UPDATE keywright.workspace SET max_keys_per_user = NULL")
    assert len(made) == 3
    assert error.reason == "POLICY_KEY_LIMIT_REACHED"


# --- authority that is exceeded -----------------------------------------------------------------


async def exceeded(caller: Caller, **key: Any) -> str:
    """The field that would exceed the caller's authority."""
    error = await refusal(caller.create_key(**key))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "AUTHORITY_EXCEEDED"
    return error.info.metadata["field"]


async def test_a_narrowed_key_creates_no_wider_one(service: Service) -> None:
    narrow = await service.admin.create_key(scopes=["keys.own", "datasets.read"])
    caller = service.as_caller(narrow.token)

    assert await exceeded(caller) == "key.scopes"
    assert await exceeded(caller, scopes=["datasets.*"]) == "key.scopes"
    assert await exceeded(caller, scopes=["datasets.read", "labels.read"]) == "key.scopes"
    assert (await caller.create_key(scopes=["datasets.read"])).key.scopes == ["datasets.read"]


async def test_a_role_above_one_s_own_is_refused(service: Service) -> None:
    hal = await service.person("hal")

    assert await exceeded(hal, role=role("admin")) == "key.role"
    created = await hal.create_key(role=role("labeler"))
    permissions = (await service.admin.authenticate(created.token)).permissions
    assert sorted(permissions) == ["keys.own", "labels.*"]


async def test_a_key_does_not_outlive_the_key_that_creates_it(service: Service) -> None:
    brief = await service.admin.create_key(ttl=Duration(seconds=3600))
    caller = service.as_caller(brief.token)

    assert await exceeded(caller) == "key.expire_time"
    assert await exceeded(caller, ttl=Duration(seconds=3700)) == "key.expire_time"
    assert await exceeded(caller, never_expires=True) == "key.expire_time"
    await caller.create_key(ttl=Duration(seconds=1800))
    await caller.create_key(expire_time=brief.key.expire_time)


async def test_a_key_of_a_network_creates_none_of_looser_networks(service: Service) -> None:
    local = await service.admin.create_key(allowed_networks=["127.0.0.0/8"])
    caller = service.as_caller(local.token)

    assert await exceeded(caller) == "key.allowed_networks"
    assert await exceeded(caller, allowed_networks=["0.0.0.0/0"]) == "key.allowed_networks"
    assert await exceeded(caller, allowed_networks=["127.0.0.1", "::1"]) == "key.allowed_networks"
    await caller.create_key(allowed_networks=["127.1.0.0/16", "127.0.0.1"])


async def test_who_creates_for_others_gives_away_no_more_than_it_has(service: Service) -> None:
    await own_role(service, "clerk", "keys.any", "keys.own", "labels.*")
    clerk = await service.person("ida", "clerk")
    await service.admin.create_user("jim", "labeler")
    await grant(service, "jim", "projects/jim", "manager")

    assert await exceeded(clerk, user=ADMIN) == "key.scopes"
    assert await exceeded(clerk, user=user("jim")) == "key.scopes"  # jim's grant is not the clerk's
    created = await clerk.create_key(user=user("jim"), scopes=["labels.*"])
    seen = await service.admin.authenticate(created.token, resource="projects/jim")
    assert list(seen.permissions) == ["labels.*"]


async def test_a_bound_key_needs_keys_bound_on_the_resource(service: Service) -> None:
    kay = await service.person("kay")
    error = await refusal(kay.create_key(resource="projects/kay"))
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert error.info.metadata["permission"] == "keys.bound"

    await grant(service, "kay", "projects/kay", "manager")
    created = await kay.create_key(resource="projects/kay/datasets/1")
    assert created.key.resource == "projects/kay/datasets/1"
    assert (await refusal(kay.create_key(resource="projects/other"))).info.metadata[
        "permission"
    ] == "keys.bound"


# --- the token is shown once ------------------------------------------------------------------


async def everything_stored(service: Service) -> bytes:
    """Every row of every table, as text, and every bytea as hex and as it is."""
    stored = b""
    async with service.connection() as connection:
        tables = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname IN ('keywright', 'public')"
        )
        assert len(tables) > 10
        for table in tables:
            for row in await connection.fetch(f"SELECT t::text FROM {table['name']} t"):
                stored += row[0].encode() + b"\n"
            columns = await connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass "
                "AND atttypid = 'bytea'::regtype AND attnum > 0",
                table["name"],
            )
            for column in columns:
                for row in await connection.fetch(f"SELECT {column[0]} FROM {table['name']}"):
                    stored += bytes(row[0] or b"") + b"\n"
    return stored


async def test_a_token_is_shown_once_and_is_nowhere_afterwards(service: Service) -> None:
    async with another(service, access_log="all") as verbose:
        created = await verbose.admin.create_key(display_name="secret", labels={"a": "b"})
        await service.admin.authenticate(created.token)
        await verbose.admin.authenticate(created.token)
        await refusal(verbose.admin.create_key(key_id=created.key.name.rpartition("/")[2]))
        got = await verbose.admin.get_key(created.key.name)
        listed = await verbose.admin.list_keys()
        revoked = await verbose.admin.revoke_key(created.key.name)
        await refusal(service.admin.authenticate(created.token))
        await refusal(verbose.admin.authenticate(created.token))
    written = [
        line for each in (service, verbose) for line in each.process.raw + each.process.printed
    ]
    events = await service.sql("SELECT t::text FROM keywright.audit_event t")

    secret = TokenFormat().parse(created.token).secret.reveal()
    forms = [
        created.token.encode(),
        created.token.removeprefix(f"kw_live_{created.key.prefix}").encode()[:43],
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
    ]
    places = {
        "GetKey": got.SerializeToString(),
        "ListKeys": listed.SerializeToString(),
        "RevokeKey": revoked.SerializeToString(),
        "audit": b"".join(event[0].encode() for event in events),
        "database": await everything_stored(service),
        "log": "\n".join(written).encode(),
    }
    assert created.key.prefix.encode() in places["database"]  # the search looks where it should
    assert b"AuthService/Authenticate" in places["log"]
    found = [place for place, content in places.items() if any(form in content for form in forms)]
    assert found == []


# --- who sees which keys ----------------------------------------------------------------------


async def test_a_member_sees_and_ends_its_own_keys_only(service: Service) -> None:
    lea, max_ = await service.person("lea"), await service.person("max")
    hers = (await lea.create_key()).key
    missing = await refusal(max_.get_key(f"{PARENT}/keys/no-such"))

    for call in (max_.get_key, max_.revoke_key, max_.delete_key):
        error = await refusal(call(hers.name))
        assert error.reason == "RESOURCE_NOT_FOUND"
        assert error.code is missing.code
        assert error.message.replace(hers.name, "") == missing.message.replace(
            f"{PARENT}/keys/no-such", ""
        )
    assert (await lea.get_key(hers.name)).name == hers.name
    assert (await service.admin.get_key(hers.name)).name == hers.name
    assert (await lea.revoke_key(hers.name)).key.state == key_pb2.KEY_STATE_REVOKED
    await lea.delete_key(hers.name)


async def test_a_key_without_the_permission_sees_not_even_itself(service: Service) -> None:
    created = await service.admin.create_key(scopes=["datasets.read"])
    caller = service.as_caller(created.token)

    assert (await refusal(caller.get_key(created.key.name))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(caller.list_keys())).reason == "CALLER_PERMISSION_MISSING"
    assert (await refusal(caller.create_key())).reason == "CALLER_PERMISSION_MISSING"


# --- the end of a key -------------------------------------------------------------------------


async def test_revoking_is_final_and_may_be_repeated(service: Service) -> None:
    created = await service.admin.create_key()
    first = await service.admin.revoke_key(created.key.name)
    again = await service.admin.revoke_key(created.key.name)

    assert first.key.state == again.key.state == key_pb2.KEY_STATE_REVOKED
    assert first.key.HasField("revoke_time")
    assert again.key == first.key
    for _ in range(2):
        assert (await refusal(service.admin.authenticate(created.token))).reason == "KEY_REVOKED"


async def test_a_revoked_key_cannot_call(service: Service) -> None:
    nia = await service.person("nia")
    own = (await nia.list_keys()).keys[0]
    await service.admin.revoke_key(own.name)

    for call in (
        nia.list_keys(),
        nia.get_key(own.name),
        nia.create_key(),
        nia.revoke_key(own.name),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert error.reason == "CALLER_CREDENTIAL_INVALID"
        assert error.info.metadata["caller_reason"] == "KEY_REVOKED"


async def test_a_key_may_end_itself(service: Service) -> None:
    oli = await service.person("oli")
    revoked = await oli.create_key()
    deleted = await oli.create_key()

    by_itself = service.as_caller(revoked.token)
    assert (await by_itself.revoke_key(revoked.key.name)).key.state == key_pb2.KEY_STATE_REVOKED
    assert (await refusal(by_itself.revoke_key(revoked.key.name))).reason == (
        "CALLER_CREDENTIAL_INVALID"
    )
    await service.as_caller(deleted.token).delete_key(deleted.key.name)
    assert (await refusal(oli.get_key(deleted.key.name))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(service.admin.authenticate(deleted.token))).reason == "TOKEN_UNKNOWN"


async def test_a_deleted_key_is_gone_and_its_token_unknown(service: Service) -> None:
    created = await service.admin.create_key(display_name="short-lived")
    deleted = await service.admin.delete_key(created.key.name)

    assert deleted.key.name == created.key.name
    assert (await refusal(service.admin.get_key(created.key.name))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(service.admin.delete_key(created.key.name))).reason == (
        "RESOURCE_NOT_FOUND"
    )
    error = await refusal(service.admin.authenticate(created.token))
    assert error.reason == "TOKEN_UNKNOWN"
    left = await service.sql(
        "SELECT FROM keywright.key_secret WHERE prefix = $1", created.key.prefix
    )
    assert left == []


async def test_a_change_under_an_old_etag_is_refused_and_changes_nothing(
    service: Service,
) -> None:
    created = await service.admin.create_key()
    name, etag = created.key.name, created.key.etag
    assert etag
    await service.sql(
        "UPDATE keywright.key SET version = version + 1 WHERE key_id = $1", name.rpartition("/")[2]
    )

    for method in ("RevokeKey", "DeleteKey"):
        request = getattr(key_service_pb2, f"{method}Request")
        error = await refusal(service.admin.keys(method, request(name=name, etag=etag)))
        assert error.code is grpc.StatusCode.ABORTED
        assert error.reason == "ETAG_MISMATCH"
    await service.admin.authenticate(created.token)

    current = (await service.admin.get_key(name)).etag
    revoke = key_service_pb2.RevokeKeyRequest(name=name, etag=current)
    revoked = await service.admin.keys("RevokeKey", revoke)
    assert revoked.key.etag not in (etag, current)
    assert (await refusal(service.admin.keys("RevokeKey", revoke))).reason == "ETAG_MISMATCH"
    delete = key_service_pb2.DeleteKeyRequest(name=name, etag=revoked.key.etag)
    await service.admin.keys("DeleteKey", delete)


async def test_an_environment_that_no_workspace_can_have_is_refused_by_name(
    service: Service,
) -> None:
    refused = await refusal(service.admin.create_key(environment="1st"))
    assert refused.reason == "FIELD_INVALID"
    assert refused.fields == ["key.environment"]
