"""What calls of the SDK ask for, as messages."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk import (
    Authenticator,
    Client,
    HashForm,
    ImportedTokenFormat,
    ImportItem,
    KeyAttributes,
    KeyCreation,
    KeyFilter,
    KeyPolicy,
    KeyPolicyChanges,
    KeyState,
    RateLimit,
    Secret,
    TimeUnit,
    TokenLookup,
    TokenLost,
    UsageInterval,
    UserFilter,
    UserKind,
)
from keywright.sdk.calls.grants import Grants
from keywright.sdk.calls.keys import Keys
from keywright.sdk.calls.names import Names
from keywright.sdk.calls.roles import Roles
from keywright.sdk.calls.sessions import Sessions
from keywright.sdk.calls.usage import Usage
from keywright.sdk.calls.users import Users
from keywright.sdk.calls.workspaces import Workspaces
from keywright.sdk.connection.flow import Batches, Blocking, Flow, Items, Listing
from keywright.v1 import (
    auth_service_pb2,
    grant_pb2,
    grant_service_pb2,
    key_pb2,
    key_service_pb2,
    rate_limit_pb2,
    role_pb2,
    role_service_pb2,
    usage_service_pb2,
    user_pb2,
    user_service_pb2,
    wait_mode_pb2,
    workspace_pb2,
    workspace_service_pb2,
)

Result = TypeVar("Result")

MOMENT = datetime(2026, 12, 31, tzinfo=UTC)
STAMP = Timestamp(seconds=int(MOMENT.timestamp()))


class Recorder:
    """Keeps what is asked for, and answers with an empty reply; the caller lives in `own`."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.reply: Message | None = None

    def run(self, flow: Flow[Result]) -> Result:
        reply: Any = None
        try:
            while True:
                call = flow.send(reply)
                if isinstance(call.request, auth_service_pb2.AuthenticateRequest):
                    reply = auth_service_pb2.AuthenticateResponse(workspace="workspaces/own")
                else:
                    self.asked.append(call.request)
                    reply = self.reply or call.method.reply()
                    if self.reply is None and "token" in reply.DESCRIPTOR.fields_by_name:
                        reply.token = "t"  # every key made anew has one
        except StopIteration as returned:
            result: Result = returned.value
            return result

    def items(self, flow: Flow[Listing[Any] | Batches[Any]]) -> Iterator[Any]:
        source = self.run(flow)
        self.asked.extend([source.request] if isinstance(source, Listing) else source.requests)
        return iter(())

    def listed(self, make: Callable[[], Flow[Listing[Result]]]) -> Items[Result]:
        return Items(self, make)

    @property
    def request(self) -> Any:
        """The one call that was made."""
        (request,) = self.asked
        return request


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def names() -> Names:
    return Names(Secret("own"), "w")


@pytest.fixture
def keys(recorder: Recorder, names: Names) -> Keys[Blocking]:
    return Keys(recorder, names)


@pytest.fixture
def users(recorder: Recorder, names: Names) -> Users[Blocking]:
    return Users(recorder, names)


@pytest.fixture
def roles(recorder: Recorder, names: Names) -> Roles[Blocking]:
    return Roles(recorder, names)


@pytest.fixture
def workspaces(recorder: Recorder, names: Names) -> Workspaces[Blocking]:
    return Workspaces(recorder, names)


ATTRIBUTES: KeyAttributes = {
    "display_name": "CI",
    "user": "ann@acme.example",
    "role": "Member",
    "scopes": {"datasets.read"},
    "resource": "projects/abc",
    "environment": "test",
    "allowed_networks": ["192.0.2.0/24"],
    "labels": {"team": "data"},
    "rate_limit": RateLimit(100, timedelta(minutes=1)),
}
KEY = key_pb2.Key(
    display_name="CI",
    user="workspaces/w/users/ann@acme.example",
    role="workspaces/w/roles/Member",
    scopes=["datasets.read"],
    resource="projects/abc",
    environment="test",
    allowed_networks=["192.0.2.0/24"],
    labels={"team": "data"},
    rate_limit=rate_limit_pb2.RateLimit(requests=100, period=Duration(seconds=60)),
)


def test_a_key_is_made_with_everything_that_a_caller_may_say(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    keys.create(key_id="k", **(ATTRIBUTES | {"ttl": timedelta(weeks=2)}))
    keys.ensure("k", **(ATTRIBUTES | {"expire_time": MOMENT}))
    keys.create(never_expires=True)
    expiring = key_pb2.Key(expire_time=STAMP)
    expiring.MergeFrom(KEY)
    assert recorder.asked == [
        key_service_pb2.CreateKeyRequest(
            parent="workspaces/w", key=KEY, key_id="k", ttl=Duration(seconds=14 * 86400)
        ),
        key_service_pb2.EnsureKeyRequest(parent="workspaces/w", key=expiring, key_id="k"),
        key_service_pb2.CreateKeyRequest(
            parent="workspaces/w", key=key_pb2.Key(), never_expires=True
        ),
    ]


def test_a_key_that_was_there_has_no_token(keys: Keys[Blocking]) -> None:
    ensured = keys.ensure("k")
    assert (ensured.token, ensured.created) == (None, False)


def test_a_token_that_went_with_a_lost_reply_is_told_and_never_given_as_empty(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    key = key_pb2.Key(name="workspaces/w/keys/k")
    made: list[tuple[Message, Callable[[], object]]] = [
        (key_service_pb2.CreateKeyResponse(key=key, replayed=True), keys.create),
        (
            key_service_pb2.EnsureKeyResponse(key=key, replayed=True, created=True),
            partial(keys.ensure, "k"),
        ),
        (key_service_pb2.RotateKeyResponse(key=key, replayed=True), partial(keys.rotate, "k")),
    ]
    for replay, call in made:
        recorder.reply = replay
        with pytest.raises(TokenLost, match="rotate the key") as lost:
            call()
        assert lost.value.metadata == {"resource": "workspaces/w/keys/k"}
        assert lost.value.reason == "TOKEN_LOST"


def test_a_validity_is_a_lifetime_in_units(keys: Keys[Blocking], recorder: Recorder) -> None:
    lengths = {
        TimeUnit.SECOND: 1,
        TimeUnit.MINUTE: 60,
        TimeUnit.HOUR: 3600,
        TimeUnit.DAY: 86400,
        TimeUnit.WEEK: 604800,
    }
    assert set(TimeUnit) == set(lengths)
    for unit, seconds in lengths.items():
        keys.create(name="CI", validity=2, unit=unit)
        assert recorder.request == key_service_pb2.CreateKeyRequest(
            parent="workspaces/w",
            key=key_pb2.Key(display_name="CI"),
            ttl=Duration(seconds=2 * seconds),
        )
        recorder.asked.clear()


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"ttl": timedelta(0), "validity": 2, "unit": TimeUnit.DAY}, "ttl and validity are given"),
        ({"validity": 0, "unit": TimeUnit.DAY, "expire_time": MOMENT}, "validity and expire_time"),
        ({"ttl": timedelta(1), "never_expires": True}, "ttl and never_expires"),
        ({"validity": 2}, "unit=TimeUnit.WEEK"),
        ({"unit": TimeUnit.WEEK}, "validity=2"),
        ({"validity": 10**9, "unit": TimeUnit.WEEK}, "1000000000 WEEK"),
        ({"name": "CI", "display_name": "CI"}, "name and display_name"),
    ],
)
def test_a_lifetime_or_name_that_is_said_twice_or_by_half_is_refused_by_name(
    keys: Keys[Blocking], recorder: Recorder, attributes: KeyAttributes, problem: str
) -> None:
    for call in (keys.create, partial(keys.ensure, "k")):
        with pytest.raises(ValueError, match=problem):
            call(**attributes)
    assert not recorder.asked


def test_a_change_carries_the_request_id_that_it_is_given(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    keys.revoke("k", request_id="mine")
    assert recorder.request.request_id == "mine"


MATCHING: KeyFilter = {
    "states": [KeyState.DISABLED, KeyState.EXPIRED],
    "user": "ann",
    "creator": "ben@acme.example",
    "resource": "projects/abc",
    "role": "workspaces/w/roles/viewer",
    "environment": "live",
    "labels": {"team": "data"},
    "expires_before": MOMENT,
    "unused_since": MOMENT,
    "unrotated_since": MOMENT,
    "search": "CI",
}
FILTER = key_pb2.KeyFilter(
    states=[key_pb2.KEY_STATE_DISABLED, key_pb2.KEY_STATE_EXPIRED],
    user="workspaces/w/users/ann",
    creator="workspaces/w/users/ben@acme.example",
    resource="projects/abc",
    role="workspaces/w/roles/viewer",
    environment="live",
    labels={"team": "data"},
    expires_before=STAMP,
    unused_since=STAMP,
    unrotated_since=STAMP,
    search="CI",
)


def test_keys_are_listed_and_revoked_by_the_same_filter(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    assert set(MATCHING) == set(KeyFilter.__annotations__)
    list(keys.list(order_by="expire_time desc", page_size=7, **MATCHING))
    keys.revoke_many(validate_only=True, **MATCHING)
    assert recorder.asked == [
        key_service_pb2.ListKeysRequest(
            parent="workspaces/w", filter=FILTER, order_by="expire_time desc", page_size=7
        ),
        key_service_pb2.RevokeKeysRequest(parent="workspaces/w", filter=FILTER, validate_only=True),
    ]


@pytest.mark.parametrize("empty", [{"resource": ""}, {"states": []}, {"labels": {}}])
def test_a_filter_that_is_empty_by_mistake_revokes_nothing(
    keys: Keys[Blocking], recorder: Recorder, empty: Any
) -> None:
    with pytest.raises(ValueError, match="is empty"):
        keys.revoke_many(user="ann", **empty)
    assert recorder.asked == []


def test_a_misspelt_argument_is_refused_rather_than_left_out(
    keys: Keys[Blocking], roles: Roles[Blocking], recorder: Recorder
) -> None:
    for misspelt in (
        lambda: keys.revoke_many(environment="live", usr="ann"),  # type: ignore[call-arg]
        lambda: keys.create(scope=["datasets.read"]),  # type: ignore[call-arg]
        lambda: keys.list(state=[KeyState.ACTIVE]),  # type: ignore[call-arg]
        lambda: keys.update("k", name="other"),  # type: ignore[call-arg]
        lambda: roles.create("r", built_in=True),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            misspelt()
    assert recorder.asked == []


def test_an_update_changes_what_is_given_and_nothing_else(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    keys.update("k", display_name="new", role="viewer", expire_time=MOMENT, etag="v1")
    assert recorder.request == key_service_pb2.UpdateKeyRequest(
        key=key_pb2.Key(
            name="workspaces/w/keys/k",
            display_name="new",
            role="workspaces/w/roles/viewer",
            expire_time=STAMP,
            etag="v1",
        ),
        update_mask=FieldMask(paths=["display_name", "role", "expire_time"]),
    )


@pytest.mark.parametrize(
    ("field", "nothing"),
    [
        ("display_name", ""),
        ("role", ""),
        ("role", None),
        ("scopes", ()),
        ("resource", ""),
        ("allowed_networks", []),
        ("labels", {}),
        ("rate_limit", None),
        ("expire_time", None),
    ],
)
def test_an_update_takes_away_what_is_given_as_nothing(
    keys: Keys[Blocking], recorder: Recorder, field: str, nothing: object
) -> None:
    changes: Any = {field: nothing}
    keys.update("k", **changes)
    assert recorder.request == key_service_pb2.UpdateKeyRequest(
        key=key_pb2.Key(name="workspaces/w/keys/k"), update_mask=FieldMask(paths=[field])
    )


def test_an_update_of_nothing_is_a_mistake(
    keys: Keys[Blocking],
    users: Users[Blocking],
    workspaces: Workspaces[Blocking],
    recorder: Recorder,
) -> None:
    for update in (
        lambda: keys.update("k", etag="v1"),
        lambda: users.update("ann"),
        lambda: workspaces.update(policy={}),
    ):
        with pytest.raises(ValueError, match="nothing to change"):
            update()
    assert recorder.asked == []


def test_a_rotation_says_how_long_the_old_token_stands(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    keys.rotate("k", grace=timedelta(hours=24), etag="v1")
    assert recorder.request == key_service_pb2.RotateKeyRequest(
        name="workspaces/w/keys/k", grace=Duration(seconds=86400), etag="v1"
    )


def test_what_narrows_waits_unless_it_is_told_not_to(
    keys: Keys[Blocking],
    users: Users[Blocking],
    roles: Roles[Blocking],
    workspaces: Workspaces[Blocking],
    recorder: Recorder,
    names: Names,
) -> None:
    grants: Grants[Blocking] = Grants(recorder, names)
    narrowings: list[Callable[..., object]] = [
        partial(keys.update, "k", scopes=["a.b"]),
        partial(keys.rotate, "k"),
        partial(keys.disable, "k"),
        partial(keys.revoke, "k"),
        partial(keys.revoke_many, user="ann"),
        partial(keys.delete, "k"),
        partial(users.update, "ann", role="guest"),
        partial(users.disable, "ann"),
        partial(users.delete, "ann"),
        partial(roles.update, "r", permissions=()),
        partial(roles.delete, "r"),
        partial(grants.delete, "g"),
        partial(workspaces.update, display_name="W"),
        partial(workspaces.disable, "w"),
        partial(workspaces.delete, "w"),
    ]
    for narrow in narrowings:
        recorder.asked.clear()
        narrow()
        narrow(wait=False)
        asked: list[Any] = recorder.asked
        waits, hastes = asked
        assert waits.wait == wait_mode_pb2.WAIT_MODE_UNSPECIFIED
        assert hastes.wait == wait_mode_pb2.WAIT_MODE_NONE


def test_what_is_of_another_kind_is_refused_with_what_would_be_right(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    wrong: Any = 5
    unknown: Any = ["LIVE"]
    with pytest.raises(TypeError, match="is a timedelta, and not int"):
        keys.create(ttl=wrong)
    with pytest.raises(TypeError, match="expire_time is a datetime, and not int"):
        keys.create(expire_time=wrong)
    with pytest.raises(ValueError, match="states: 'LIVE' is none of ACTIVE, DISABLED"):
        list(keys.list(states=unknown))
    with pytest.raises(TypeError, match="is a timedelta, and not int"):
        Client("127.0.0.1:1", "key", timeout=wrong)
    with pytest.raises(TypeError, match="workspace is a str, and not int"):
        Client("127.0.0.1:1", "key", workspace=wrong)
    for kind in (Client, Authenticator):
        with pytest.raises(ValueError, match="a timeout is longer than nothing"):
            kind("127.0.0.1:1", "key", timeout=timedelta(0))
    with pytest.raises(TypeError, match="is a timedelta, and not int"):
        Authenticator("127.0.0.1:1", "key", stale_window=wrong)
    assert recorder.asked == []


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"name": 5}, "display_name is a str, and not int"),
        ({"scopes": "labels.read"}, "scopes is a collection, each a str, and not str"),
        ({"scopes": ["labels.read", None]}, r"scopes\[1\] is a str, and not NoneType"),
        ({"labels": {"team": 5}}, r"labels\['team'\] is a str, and not int"),
        ({"labels": {5: "five"}}, "a key of labels is a str, and not int"),
        ({"labels": ["team"]}, "labels is a mapping of str to str, and not list"),
        ({"user": 5}, "a user's name is a str, and not int"),
        ({"validity": "2", "unit": TimeUnit.WEEK}, "validity is a number, and not str"),
        ({"validity": 2, "unit": "WEEK"}, "unit is a TimeUnit such as TimeUnit.WEEK, and not str"),
    ],
)
def test_an_argument_of_another_type_is_named(
    keys: Keys[Blocking], recorder: Recorder, attributes: dict[str, Any], told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        keys.create(**attributes)
    assert recorder.asked == []


def test_whatever_a_method_takes_is_named_where_it_is_of_another_type(
    keys: Keys[Blocking],
    users: Users[Blocking],
    names: Names,
    recorder: Recorder,
) -> None:
    grants: Grants[Blocking] = Grants(recorder, names)
    usage: Any = Usage(recorder, names)
    sessions: Sessions[Blocking] = Sessions(recorder, names)
    client: Any = Client("127.0.0.1:1", "key")
    wrong: list[Any] = [None, 5, b"kw_live_", "x", "ACTIVE"]
    none, number, octets, word, letters = wrong
    refused: list[tuple[str, Callable[[], object]]] = [
        ("key is a str, and not NoneType", lambda: keys.get(none)),
        ("user is a str, and not NoneType", lambda: users.disable(none)),
        ("prefix is a str, and not int", lambda: keys.lookup(number)),
        ("page_size is an int, and not str", lambda: keys.list(page_size=word)),
        ("states is a collection, each .*, and not str", lambda: list(keys.list(states=letters))),
        ("wait is a bool, and not NoneType", lambda: keys.revoke("k", wait=none)),
        ("grace is a timedelta, and not int", lambda: keys.rotate("k", grace=number)),
        ("email is a str, and not int", lambda: users.create(number)),
        ("kind: 'x' is none of HUMAN, SERVICE", lambda: users.create("a@b.c", kind=word)),
        (r"labels\['a'\] is a str, and not int", lambda: users.create(labels={"a": number})),
        ("resource is a str, and not int", lambda: grants.create("ann", number, "viewer")),
        ("keys is a collection, each a str, and not str", lambda: list(usage.query(keys=word))),
        ("states is a collection, each .*, and not str", lambda: sessions.list(states=letters)),
        (r"states\[0\]: 'x' is none of ACTIVE", lambda: sessions.list(states=[word])),
        ("token is a str or a Secret, and not bytes", lambda: client.authenticate(octets)),
        (
            "required_permissions is a collection, each a str, and not str",
            lambda: client.authenticate("t", required_permissions=word),
        ),
        (
            "required_permissions is a collection, each a str, and not generator",
            lambda: client.authenticate("t", required_permissions=(each for each in ["a.b"])),
        ),
        (
            r"required_permissions\[0\] is a str, and not int",
            lambda: client.authenticate("t", required_permissions=[number]),
        ),
        ("token is a str or a Secret, and not NoneType", lambda: keys.report_leaked(none)),
        ("an API key is text, and not NoneType", lambda: client.acting_with(none)),
    ]
    for told, call in refused:
        with pytest.raises((TypeError, ValueError), match=told):
            call()
    assert recorder.asked == []


def test_a_list_can_be_asked_again_after_a_page_of_it(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    listed = keys.list(page_size=2)
    recorder.asked.clear()
    wrong: Any = None
    with pytest.raises(TypeError, match="page_token is a str, and not NoneType"):
        listed.page(wrong)
    recorder.reply = key_service_pb2.ListKeysResponse(next_page_token="next")
    assert listed.page(listed.page().next_page_token).next_page_token == "next"
    asked: list[Any] = recorder.asked
    assert [each.page_token for each in asked] == ["", "next"]
    assert [each.page_size for each in asked] == [2, 2]


def test_no_time_is_taken_without_its_zone(keys: Keys[Blocking], recorder: Recorder) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for call in (
        lambda: keys.update("k", expire_time=naive),
        lambda: keys.ensure("k", expire_time=naive),
        lambda: keys.revoke_many(unused_since=naive),
    ):
        with pytest.raises(ValueError, match="needs a time zone"):
            call()
    assert recorder.asked == []


def test_a_key_is_named_by_id_or_full_name_and_found_by_prefix(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    keys.disable("k")
    keys.enable("workspaces/other/keys/k")
    keys.lookup("j419xabT5ktr")
    assert recorder.asked == [
        key_service_pb2.DisableKeyRequest(name="workspaces/w/keys/k"),
        key_service_pb2.EnableKeyRequest(name="workspaces/other/keys/k"),
        key_service_pb2.LookupKeyRequest(parent="workspaces/w", prefix="j419xabT5ktr"),
    ]


def test_users_are_made_changed_listed_and_deleted(
    users: Users[Blocking], recorder: Recorder
) -> None:
    matching: UserFilter = {
        "kinds": [UserKind.SERVICE],
        "role": "guest",
        "external_id": "okta|1",
        "resource": "projects/abc",
        "labels": {"team": "data"},
        "search": "robot",
    }
    users.create(kind=UserKind.SERVICE, user_id="robot", resource="projects/abc")
    users.update("ann@acme.example", role="member", external_id="", etag="v2")
    list(users.list(**matching))
    users.delete("ann", force=True)
    ann = "workspaces/w/users/ann"
    assert recorder.asked == [
        user_service_pb2.CreateUserRequest(
            parent="workspaces/w",
            user=user_pb2.User(kind=user_pb2.USER_KIND_SERVICE, resource="projects/abc"),
            user_id="robot",
        ),
        user_service_pb2.UpdateUserRequest(
            user=user_pb2.User(
                name=f"{ann}@acme.example", role="workspaces/w/roles/member", etag="v2"
            ),
            update_mask=FieldMask(paths=["role", "external_id"]),
        ),
        user_service_pb2.ListUsersRequest(
            parent="workspaces/w",
            filter=user_pb2.UserFilter(
                kinds=[user_pb2.USER_KIND_SERVICE],
                role="workspaces/w/roles/guest",
                external_id="okta|1",
                resource="projects/abc",
                labels={"team": "data"},
                search="robot",
            ),
        ),
        user_service_pb2.DeleteUserRequest(name=ann, force=True),
    ]


def test_roles_are_made_and_changed(roles: Roles[Blocking], recorder: Recorder) -> None:
    roles.create("auditor", permissions=["audit.read"], description="reads", may_hold_keys=True)
    roles.update("auditor", permissions=(), may_hold_keys=False)
    assert recorder.asked == [
        role_service_pb2.CreateRoleRequest(
            parent="workspaces/w",
            role=role_pb2.Role(permissions=["audit.read"], description="reads", may_hold_keys=True),
            role_id="auditor",
        ),
        role_service_pb2.UpdateRoleRequest(
            role=role_pb2.Role(name="workspaces/w/roles/auditor"),
            update_mask=FieldMask(paths=["permissions", "may_hold_keys"]),
        ),
    ]


def test_a_grant_is_a_role_for_a_user_on_a_resource(recorder: Recorder, names: Names) -> None:
    grants: Grants[Blocking] = Grants(recorder, names)
    grants.create("ann@acme.example", "projects/abc", "editor", grant_id="g")
    list(grants.list(resource="projects/abc", role="editor"))
    grants.delete("g")
    assert recorder.asked == [
        grant_service_pb2.CreateGrantRequest(
            parent="workspaces/w",
            grant=grant_pb2.Grant(
                user="workspaces/w/users/ann@acme.example",
                resource="projects/abc",
                role="workspaces/w/roles/editor",
            ),
            grant_id="g",
        ),
        grant_service_pb2.ListGrantsRequest(
            parent="workspaces/w",
            filter=grant_pb2.GrantFilter(resource="projects/abc", role="workspaces/w/roles/editor"),
        ),
        grant_service_pb2.DeleteGrantRequest(name="workspaces/w/grants/g"),
    ]


def test_usage_is_asked_for_by_time_and_keys(recorder: Recorder, names: Names) -> None:
    usage: Usage[Blocking] = Usage(recorder, names)
    list(
        usage.query(
            start_time=MOMENT, keys=["ci"], user="ann", interval=UsageInterval.DAY, total=True
        )
    )
    assert recorder.request == usage_service_pb2.QueryUsageRequest(
        parent="workspaces/w",
        start_time=STAMP,
        keys=["workspaces/w/keys/ci"],
        user="workspaces/w/users/ann",
        interval=usage_service_pb2.USAGE_INTERVAL_DAY,
        grouping=usage_service_pb2.USAGE_GROUPING_TOTAL,
    )
    with pytest.raises(ValueError, match="start_time needs a time zone"):
        usage.query(start_time=MOMENT.replace(tzinfo=None))


def test_a_leaked_token_is_reported_with_where_it_was_found(
    recorder: Recorder, names: Names
) -> None:
    keys: Keys[Blocking] = Keys(recorder, names)
    keys.report_leaked(Secret("kw_live_x"), source="a log")
    assert recorder.request == key_service_pb2.ReportLeakedTokenRequest(
        token="kw_live_x", source="a log"
    )


def test_a_workspace_is_made_with_its_policy_and_catalogue(
    workspaces: Workspaces[Blocking], recorder: Recorder
) -> None:
    workspaces.create(
        "acme",
        admin_email="ann@acme.example",
        display_name="Acme",
        policy=KeyPolicy(max_ttl=timedelta(weeks=12), key_creation=KeyCreation.ADMINS),
        environments=["live"],
        permission_catalog={"datasets.read": "Read data sets", "datasets.write": ""},
    )
    entries = [
        workspace_pb2.PermissionEntry(permission="datasets.read", description="Read data sets"),
        workspace_pb2.PermissionEntry(permission="datasets.write"),
    ]
    assert recorder.request == workspace_service_pb2.CreateWorkspaceRequest(
        workspace=workspace_pb2.Workspace(
            display_name="Acme",
            policy=workspace_pb2.KeyPolicy(
                max_ttl=Duration(seconds=12 * 7 * 86400),
                key_creation=workspace_pb2.KEY_CREATION_ADMINS,
            ),
            environments=["live"],
            permission_catalog=workspace_pb2.PermissionCatalog(entries=entries),
        ),
        workspace_id="acme",
        admin_email="ann@acme.example",
    )


def test_a_policy_is_changed_in_part_by_a_mapping_and_replaced_by_a_policy(
    workspaces: Workspaces[Blocking], recorder: Recorder
) -> None:
    parts: KeyPolicyChanges = {"max_ttl": None, "expiry_required": True, "max_keys_per_user": 0}
    workspaces.update("acme", policy=parts, permission_catalog=None)
    workspaces.update("acme", policy=KeyPolicy(free_binding=True))
    in_part, whole = recorder.asked
    assert in_part == workspace_service_pb2.UpdateWorkspaceRequest(
        workspace=workspace_pb2.Workspace(
            name="workspaces/acme", policy=workspace_pb2.KeyPolicy(expiry_required=True)
        ),
        update_mask=FieldMask(
            paths=[
                "permission_catalog",
                "policy.max_ttl",
                "policy.expiry_required",
                "policy.max_keys_per_user",
            ]
        ),
    )
    assert whole == workspace_service_pb2.UpdateWorkspaceRequest(
        workspace=workspace_pb2.Workspace(
            name="workspaces/acme",
            policy=workspace_pb2.KeyPolicy(
                free_binding=True, key_creation=workspace_pb2.KEY_CREATION_EVERYONE
            ),
        ),
        update_mask=FieldMask(paths=["policy"]),
    )


def test_an_empty_catalogue_is_kept_and_not_the_same_as_none(
    workspaces: Workspaces[Blocking], recorder: Recorder
) -> None:
    workspaces.update("acme", permission_catalog={})
    assert recorder.request.workspace.HasField("permission_catalog")


def test_a_workspace_that_is_not_named_is_ones_own(recorder: Recorder) -> None:
    workspaces: Workspaces[Blocking] = Workspaces(recorder, Names(Secret("own"), None))
    workspaces.get()
    workspaces.get("acme")
    workspaces.get("workspaces/acme")
    assert [request.name for request in recorder.asked] == [  # type: ignore[attr-defined]
        "workspaces/own",
        "workspaces/acme",
        "workspaces/acme",
    ]


def test_an_import_is_sent_a_thousand_items_at_a_time(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    dotted = ImportedTokenFormat(r"[a-z]{8}\.[a-z]{32}", TokenLookup.PREFIX, prefix_length=8)
    first = ImportItem(
        "sha512$$00",
        HashForm.DJANGO,
        "abcdefgh",
        "ci",
        MOMENT,
        {"display_name": "CI", "user": "ann@acme.example", "role": "member", "expire_time": MOMENT},
    )
    rest = [ImportItem(f"{number:064x}", HashForm.SHA256_HEX) for number in range(2_000)]
    list(keys.import_keys(dotted, iter([first, *rest]), validate_only=True))
    requests: Any = recorder.asked
    assert [len(request.items) for request in requests] == [1000, 1000, 1]
    assert requests[0].items[0] == key_service_pb2.ImportItem(
        key=key_pb2.Key(
            display_name="CI",
            user="workspaces/w/users/ann@acme.example",
            role="workspaces/w/roles/member",
            expire_time=STAMP,
        ),
        key_id="ci",
        hash="sha512$$00",
        hash_form=key_service_pb2.HASH_FORM_DJANGO,
        prefix="abcdefgh",
        original_create_time=STAMP,
    )
    assert requests[2].items[0].hash == rest[-1].hash
    for request in requests:
        assert (request.parent, request.validate_only) == ("workspaces/w", True)
        assert request.format == key_service_pb2.ImportedTokenFormat(
            pattern=dotted.pattern, lookup=key_service_pb2.TOKEN_LOOKUP_PREFIX, prefix_length=8
        )


def test_nothing_is_sent_of_an_import_with_a_mistake(
    keys: Keys[Blocking], recorder: Recorder
) -> None:
    digest = ImportedTokenFormat("own_[a-z]{32}", TokenLookup.DIGEST)
    naive = ImportItem("00", HashForm.PHC, original_create_time=MOMENT.replace(tzinfo=None))
    misspelt: Any = {"expires": MOMENT}
    with pytest.raises(ValueError, match="original_create_time needs a time zone"):
        list(keys.import_keys(digest, [naive]))
    with pytest.raises(TypeError, match="expires"):
        list(keys.import_keys(digest, [ImportItem("00", HashForm.PHC, key=misspelt)]))
    assert recorder.asked == []


def test_the_hash_of_an_item_does_not_show_in_its_representation() -> None:
    assert "secret" not in repr(ImportItem("secret", HashForm.PHC))
