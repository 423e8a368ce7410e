"""What a command line asks of a server, and how the answer is shown."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, text_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner, Result

from keywright.cli import app
from keywright.cli.exits import ExitCode
from keywright.v1 import (
    auth_service_pb2,
    denial_pb2,
    error_reason_pb2,
    grant_pb2,
    grant_service_pb2,
    key_pb2,
    key_service_pb2,
    role_pb2,
    role_service_pb2,
    usage_service_pb2,
    user_pb2,
    user_service_pb2,
    wait_mode_pb2,
    workspace_pb2,
    workspace_service_pb2,
)

CREATED = Timestamp(seconds=1_800_000_000)  # 2027-01-15 08:00 UTC


def empty(kind: type[Any]) -> Any:
    """A reply in which nothing is, but for the token that every key made anew has."""
    return kind(token="t") if "token" in kind.DESCRIPTOR.fields_by_name else kind()


@dataclass
class Server(grpc.GenericRpcHandler):
    """Answers every method with what the test says, else with nothing in it."""

    uri: str = ""
    replies: dict[str, Message] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        method = descriptor_pool.Default().FindMethodByName(details.method[1:].replace("/", "."))

        def answer(request: Any, context: grpc.ServicerContext) -> Message:
            if method.name == "Authenticate":
                return auth_service_pb2.AuthenticateResponse(workspace="workspaces/w")
            if "request_id" in method.input_type.fields_by_name:
                assert request.request_id, "so that it can be sent again"
                request.ClearField("request_id")
            self.calls.append((method.name, request))
            return self.replies.get(method.name) or empty(GetMessageClass(method.output_type))

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    @property
    def called(self) -> list[str]:
        """The methods that were called, in order."""
        return [name for name, _ in self.calls]

    @property
    def request(self) -> Any:
        """The request of the one call that was made."""
        ((_, request),) = self.calls
        return request


@pytest.fixture
def server() -> Iterator[Server]:
    serving = grpc.server(ThreadPoolExecutor(4))
    handler = Server()
    serving.add_generic_rpc_handlers((handler,))
    handler.uri = f"127.0.0.1:{serving.add_insecure_port('127.0.0.1:0')}"
    serving.start()
    yield handler
    serving.stop(None).wait(10)


Keywright = Callable[..., Result]


@pytest.fixture
def keywright(server: Server, monkeypatch: pytest.MonkeyPatch) -> Keywright:
    monkeypatch.setenv("KEYWRIGHT_URI", server.uri)
    monkeypatch.setenv("KEYWRIGHT_API_KEY", "own-key")

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*command.split(), *arguments])

    return run


def test_a_command_finds_server_and_key_in_the_configuration_file(
    keywright: Keywright, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kw.toml").write_text(f'uri = "{server.uri}"\napi_key_file = "token"')
    (tmp_path / "token").write_text("own-key\n")
    monkeypatch.setenv("KEYWRIGHT_CLIENT_CONFIG", str(tmp_path / "kw.toml"))
    monkeypatch.delenv("KEYWRIGHT_URI")
    monkeypatch.delenv("KEYWRIGHT_API_KEY")
    assert keywright("keys list").exit_code == ExitCode.OK
    assert server.called == ["ListKeys"]
    (tmp_path / "kw.toml").write_text('url = "typing error"')
    refused = keywright("keys list")
    assert refused.exit_code == ExitCode.USAGE
    assert "CONFIG_FILE_INVALID" in refused.stderr
    assert "url" in refused.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "method", "request_text"),
    [
        (
            "keys create --user ann --rate-limit 100/1m --never-expires --resource projects/abc",
            [],
            "CreateKey",
            """parent: 'workspaces/w' never_expires: true key { user: 'workspaces/w/users/ann'
            resource: 'projects/abc' rate_limit { requests: 100 period { seconds: 60 } } }""",
        ),
        (
            "keys ensure ci --scope datasets.read --ttl 2w",
            [],
            "EnsureKey",
            """parent: 'workspaces/w' key_id: 'ci' key { scopes: 'datasets.read' }
            ttl { seconds: 1209600 }""",
        ),
        (
            "explain ci datasets.write --resource projects/abc --required-environment live",
            ["--client-address", "192.0.2.7"],
            "ExplainAccess",
            """name: 'workspaces/w/keys/ci' permission: 'datasets.write' resource: 'projects/abc'
            required_environment: 'live' client_address: '192.0.2.7'""",
        ),
        (
            "explain --user ann@acme.example datasets.write",
            [],
            "ExplainAccess",
            "name: 'workspaces/w/users/ann@acme.example' permission: 'datasets.write'",
        ),
        ("explain --user ann", [], "ExplainAccess", "name: 'workspaces/w/users/ann'"),
        (
            "keys lookup j419xabT5ktr",
            [],
            "LookupKey",
            "parent: 'workspaces/w' prefix: 'j419xabT5ktr'",
        ),
        (
            "keys list --all --creator ben --order-by",
            ["expire_time desc"],
            "ListKeys",
            """parent: 'workspaces/w' page_size: 1000 order_by: 'expire_time desc' filter {
            creator: 'workspaces/w/users/ben' states: KEY_STATE_ACTIVE states: KEY_STATE_DISABLED
            states: KEY_STATE_EXPIRED states: KEY_STATE_REVOKED }""",
        ),
        (
            "keys list --non-revoked --unused-since 2026-12-31T00:00:00Z --search",
            ["ci deploy"],
            "ListKeys",
            """parent: 'workspaces/w' page_size: 1000 filter { states: KEY_STATE_ACTIVE
            states: KEY_STATE_DISABLED states: KEY_STATE_EXPIRED search: 'ci deploy'
            unused_since { seconds: 1798675200 } }""",
        ),
        (
            "keys list --state Expired --label team=data --role viewer --environment test",
            [],
            "ListKeys",
            """parent: 'workspaces/w' page_size: 1000 filter { states: KEY_STATE_EXPIRED
            labels { key: 'team' value: 'data' } role: 'workspaces/w/roles/viewer'
            environment: 'test' }""",
        ),
        (
            (
                "keys update ci --role viewer --scope a.b --scope c.* --no-resource --no-labels"
                " --expires 2026-12-31T00:00:00Z --rate-limit 5/1s --etag v1 --display-name"
            ),
            ["CI of Ann"],
            "UpdateKey",
            """key { name: 'workspaces/w/keys/ci' etag: 'v1' display_name: 'CI of Ann'
            role: 'workspaces/w/roles/viewer' scopes: 'a.b' scopes: 'c.*'
            rate_limit { requests: 5 period { seconds: 1 } }
            expire_time { seconds: 1798675200 } }
            update_mask { paths: ['display_name', 'role', 'scopes', 'resource', 'labels',
            'rate_limit', 'expire_time'] }""",
        ),
        (
            (
                "keys update ci --no-role --no-scopes --no-allowed-networks --no-rate-limit"
                " --never-expires"
            ),
            [],
            "UpdateKey",
            """key { name: 'workspaces/w/keys/ci' } update_mask { paths: ['role', 'scopes',
            'allowed_networks', 'rate_limit', 'expire_time'] }""",
        ),
        (
            "keys rotate ci --grace 24h --etag v1",
            [],
            "RotateKey",
            "name: 'workspaces/w/keys/ci' grace { seconds: 86400 } etag: 'v1'",
        ),
        ("keys disable ci", [], "DisableKey", "name: 'workspaces/w/keys/ci'"),
        ("keys enable ci", [], "EnableKey", "name: 'workspaces/w/keys/ci'"),
        (
            "keys revoke-many --user ann --resource projects/abc",
            [],
            "RevokeKeys",
            """parent: 'workspaces/w' filter { user: 'workspaces/w/users/ann'
            resource: 'projects/abc' }""",
        ),
        (
            "keys revoke-many --state disabled --dry-run",
            [],
            "RevokeKeys",
            "parent: 'workspaces/w' validate_only: true filter { states: KEY_STATE_DISABLED }",
        ),
        (
            "users create --kind service --user-id bot --resource projects/abc",
            [],
            "CreateUser",
            """parent: 'workspaces/w' user_id: 'bot' user { kind: USER_KIND_SERVICE
            resource: 'projects/abc' }""",
        ),
        (
            "users list --external-id okta|1 --resource projects/abc",
            [],
            "ListUsers",
            """parent: 'workspaces/w' page_size: 1000 filter { external_id: 'okta|1'
            resource: 'projects/abc' }""",
        ),
        (
            "users update ann@acme.example --role member --no-external-id --label team=data",
            [],
            "UpdateUser",
            """user { name: 'workspaces/w/users/ann@acme.example' role: 'workspaces/w/roles/member'
            labels { key: 'team' value: 'data' } }
            update_mask { paths: ['role', 'external_id', 'labels'] }""",
        ),
        (
            "users delete ann --force",
            [],
            "DeleteUser",
            "name: 'workspaces/w/users/ann' force: true",
        ),
        (
            "roles create auditor --permission audit.read --permission usage.* --may-hold-keys",
            [],
            "CreateRole",
            """parent: 'workspaces/w' role_id: 'auditor' role { permissions: 'audit.read'
            permissions: 'usage.*' may_hold_keys: true }""",
        ),
        (
            "roles update auditor --no-permissions --no-may-hold-keys --description",
            ["Reads nothing"],
            "UpdateRole",
            """role { name: 'workspaces/w/roles/auditor' description: 'Reads nothing' }
            update_mask { paths: ['permissions', 'may_hold_keys', 'description'] }""",
        ),
        ("roles delete auditor", [], "DeleteRole", "name: 'workspaces/w/roles/auditor'"),
        (
            "grants create --user ann --resource projects/abc --role editor --grant-id g",
            [],
            "CreateGrant",
            """parent: 'workspaces/w' grant_id: 'g' grant { user: 'workspaces/w/users/ann'
            resource: 'projects/abc' role: 'workspaces/w/roles/editor' }""",
        ),
        (
            "grants list --user ann --role editor",
            [],
            "ListGrants",
            """parent: 'workspaces/w' page_size: 1000 filter { user: 'workspaces/w/users/ann'
            role: 'workspaces/w/roles/editor' }""",
        ),
        ("grants delete g", [], "DeleteGrant", "name: 'workspaces/w/grants/g'"),
        (
            (
                "workspaces create acme --admin-email ann@acme.example --max-ttl 12w"
                " --key-creation admins --environment live --permission a.b --permission"
            ),
            ["datasets.read=Read = look at"],
            "CreateWorkspace",
            """workspace_id: 'acme' admin_email: 'ann@acme.example' workspace {
            policy { max_ttl { seconds: 7257600 } key_creation: KEY_CREATION_ADMINS }
            environments: 'live' permission_catalog { entries { permission: 'a.b' }
            entries { permission: 'datasets.read' description: 'Read = look at' } } }""",
        ),
        (
            (
                "usage ci workspaces/v/keys/k --user ann --since 2027-01-15T08:00:00Z"
                " --until 2027-01-15T09:00:00Z --interval day --total"
            ),
            [],
            "QueryUsage",
            """parent: 'workspaces/w' keys: ['workspaces/w/keys/ci', 'workspaces/v/keys/k']
            user: 'workspaces/w/users/ann' start_time { seconds: 1800000000 }
            end_time { seconds: 1800003600 } page_size: 1000
            interval: USAGE_INTERVAL_DAY grouping: USAGE_GROUPING_TOTAL""",
        ),
        ("workspaces get", [], "GetWorkspace", "name: 'workspaces/w'"),
        ("workspaces get --workspace acme", [], "GetWorkspace", "name: 'workspaces/acme'"),
        ("workspaces list", [], "ListWorkspaces", "page_size: 1000"),
        (
            (
                "workspaces update --no-max-ttl --default-ttl 1d --no-expiry-required"
                " --free-binding --max-keys-per-user 0 --no-permission-catalog"
                " --rotation-reminder 25w"
            ),
            [],
            "UpdateWorkspace",
            """workspace { name: 'workspaces/w' policy { default_ttl { seconds: 86400 }
            free_binding: true rotation_reminder { seconds: 15120000 } } }
            update_mask { paths: ['permission_catalog', 'policy.max_ttl', 'policy.default_ttl',
            'policy.rotation_reminder', 'policy.expiry_required', 'policy.max_keys_per_user',
            'policy.free_binding'] }""",
        ),
        ("workspaces disable acme", [], "DisableWorkspace", "name: 'workspaces/acme'"),
        ("workspaces enable acme", [], "EnableWorkspace", "name: 'workspaces/acme'"),
        ("workspaces delete acme", [], "DeleteWorkspace", "name: 'workspaces/acme'"),
    ],
)
def test_a_command_asks_for_what_its_options_say(
    keywright: Keywright,
    server: Server,
    command: str,
    arguments: list[str],
    method: str,
    request_text: str,
) -> None:
    result = keywright(command, *arguments)
    assert result.exit_code == ExitCode.OK, result.output
    assert server.called == [method]
    assert server.request == text_format.Parse(request_text, type(server.request)())


@pytest.mark.parametrize(
    "command",
    [
        "keys update ci --no-scopes",
        "keys rotate ci",
        "keys disable ci",
        "keys revoke ci",
        "keys revoke-many --user ann",
        "keys delete ci",
        "users update ann --role guest",
        "users disable ann",
        "users delete ann",
        "roles update auditor --no-permissions",
        "roles delete auditor",
        "grants delete g",
        "workspaces update --expiry-required",
        "workspaces disable acme",
        "workspaces delete acme",
    ],
)
def test_what_narrows_need_not_be_waited_for(
    keywright: Keywright, server: Server, command: str
) -> None:
    result = keywright(f"{command} --no-wait")
    assert result.exit_code == ExitCode.OK, result.output
    assert server.request.wait == wait_mode_pb2.WAIT_MODE_NONE


def test_an_age_is_counted_back_from_now_and_for_an_expiry_forward(
    keywright: Keywright, server: Server
) -> None:
    keywright("keys list --unused-since 30d --unrotated-since 12w --expires-before 7d")
    asked = server.request.filter
    now = datetime.now(UTC)
    for moment, expected in (
        (asked.unused_since, now - timedelta(days=30)),
        (asked.unrotated_since, now - timedelta(weeks=12)),
        (asked.expires_before, now + timedelta(days=7)),
    ):
        assert abs(moment.ToDatetime(tzinfo=UTC) - expected) < timedelta(minutes=1)


def test_a_new_lifetime_of_a_key_is_counted_from_now(keywright: Keywright, server: Server) -> None:
    keywright("keys update ci --ttl 1d")
    ends = server.request.key.expire_time.ToDatetime(tzinfo=UTC)
    assert abs(ends - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)


KEY = key_pb2.Key(
    name="workspaces/w/keys/ci",
    user="workspaces/w/users/bot",
    prefix="j419xabT5ktr",
    state=key_pb2.KEY_STATE_ACTIVE,
    create_time=CREATED,
)


@pytest.mark.parametrize(
    ("command", "method", "reply"),
    [
        (
            "keys ensure ci",
            "EnsureKey",
            partial(key_service_pb2.EnsureKeyResponse, created=True),
        ),
        ("keys rotate ci", "RotateKey", key_service_pb2.RotateKeyResponse),
    ],
)
def test_a_token_is_alone_on_stdout(
    keywright: Keywright, server: Server, command: str, method: str, reply: Any
) -> None:
    server.replies[method] = reply(key=KEY, token="kw_live_secret", revision="r")
    shown = keywright(command)
    assert shown.stdout == "kw_live_secret\n"
    assert "workspaces/w/keys/ci" in shown.stderr
    document = json.loads(keywright(f"{command} -o json").stdout)
    assert (document["token"], document["revision"]) == ("kw_live_secret", "r")
    assert document["key"]["name"] == "workspaces/w/keys/ci"


def test_a_key_that_was_there_leaves_stdout_empty_and_its_token_null(
    keywright: Keywright, server: Server
) -> None:
    server.replies["EnsureKey"] = key_service_pb2.EnsureKeyResponse(key=KEY, revision="r")
    shown = keywright("keys ensure ci")
    assert (shown.exit_code, shown.stdout) == (ExitCode.OK, "")
    assert "was there already" in shown.stderr
    document = json.loads(keywright("keys ensure ci -o json").stdout)
    assert (document["token"], document["created"]) == (None, False)


def test_a_mass_revocation_says_how_many(keywright: Keywright, server: Server) -> None:
    server.replies["RevokeKeys"] = key_service_pb2.RevokeKeysResponse(count=3)
    counted = keywright("keys revoke-many --user ann --dry-run")
    assert (counted.stdout, counted.stderr) == ("Would revoke 3 keys.\n", "")
    revoked = keywright("keys revoke-many --user ann")
    assert (revoked.stdout, revoked.stderr) == ("", "Revoked 3 keys.\n")
    for more in ("", "--dry-run"):
        document = keywright(f"keys revoke-many --user ann -o json {more}").stdout
        assert json.loads(document) == {"count": 3}
    assert [request.validate_only for _, request in server.calls] == [True, False, False, True]


LISTS: list[tuple[str, str, Message, list[str], list[str]]] = [
    (
        "keys list",
        "ListKeys",
        key_service_pb2.ListKeysResponse(keys=[KEY]),
        ["ID", "NAME", "USER", "PREFIX", "STATE", "CREATED", "EXPIRES", "LAST USED"],
        ["ci", "bot", "j419xabT5ktr", "ACTIVE", "2027-01-15 08:00Z"],
    ),
    (
        "users list",
        "ListUsers",
        user_service_pb2.ListUsersResponse(
            users=[
                user_pb2.User(
                    name="workspaces/w/users/bot",
                    kind=user_pb2.USER_KIND_SERVICE,
                    resource="projects/abc",
                    state=user_pb2.USER_STATE_ACTIVE,
                )
            ]
        ),
        ["ID", "EMAIL", "NAME", "KIND", "ROLE", "RESOURCE", "STATE", "CREATED"],
        ["bot", "SERVICE", "projects/abc", "ACTIVE"],
    ),
    (
        "roles list",
        "ListRoles",
        role_service_pb2.ListRolesResponse(
            roles=[
                role_pb2.Role(
                    name="workspaces/w/roles/auditor",
                    permissions=["audit.read", "usage.*"],
                    may_hold_keys=True,
                )
            ]
        ),
        ["ID", "NAME", "BUILT IN", "KEYS", "PERMISSIONS"],
        ["auditor", "no", "yes", "audit.read, usage.*"],
    ),
    (
        "grants list",
        "ListGrants",
        grant_service_pb2.ListGrantsResponse(
            grants=[
                grant_pb2.Grant(
                    name="workspaces/w/grants/g",
                    user="workspaces/w/users/bot",
                    resource="projects/abc",
                    role="workspaces/w/roles/editor",
                    create_time=CREATED,
                )
            ]
        ),
        ["ID", "USER", "RESOURCE", "ROLE", "CREATED"],
        ["g", "bot", "projects/abc", "editor", "2027-01-15 08:00Z"],
    ),
    (
        "usage",
        "QueryUsage",
        usage_service_pb2.QueryUsageResponse(
            points=[
                usage_service_pb2.UsagePoint(
                    key="workspaces/w/keys/ci",
                    start_time=CREATED,
                    allowed_count=7,
                    denials=[
                        usage_service_pb2.DenialCount(
                            reason=error_reason_pb2.ERROR_REASON_KEY_EXPIRED, count=2
                        )
                    ],
                )
            ]
        ),
        ["BEGINS", "KEY", "ALLOWED", "DENIED"],
        ["2027-01-15 08:00Z", "ci", "7", "KEY_EXPIRED 2"],
    ),
    (
        "workspaces list",
        "ListWorkspaces",
        workspace_service_pb2.ListWorkspacesResponse(
            workspaces=[
                workspace_pb2.Workspace(
                    name="workspaces/acme",
                    display_name="Acme",
                    state=workspace_pb2.WORKSPACE_STATE_DISABLED,
                    environments=["live", "test"],
                )
            ]
        ),
        ["ID", "NAME", "STATE", "ENVIRONMENTS", "CREATED"],
        ["acme", "Acme", "DISABLED", "live, test"],
    ),
]


@pytest.mark.parametrize(("command", "method", "reply", "header", "row"), LISTS)
def test_a_list_has_short_ids_and_all_that_is_asked_for_day_by_day(
    keywright: Keywright,
    server: Server,
    command: str,
    method: str,
    reply: Message,
    header: list[str],
    row: list[str],
) -> None:
    server.replies[method] = reply
    first, second = keywright(command).stdout.splitlines()
    assert [each.strip() for each in first.split("  ") if each.strip()] == header
    assert [each.strip() for each in second.split("  ") if each.strip()] == row
    (plural,) = json.loads(keywright(f"{command} -o json").stdout)
    assert plural == command.split(maxsplit=1)[0]


def test_a_workspace_shows_its_policy_as_it_is_typed(keywright: Keywright, server: Server) -> None:
    policy = workspace_pb2.KeyPolicy(
        max_ttl=Duration(seconds=12 * 7 * 86400), default_ttl=Duration(seconds=36 * 3600)
    )
    server.replies["GetWorkspace"] = workspace_service_pb2.GetWorkspaceResponse(
        workspace=workspace_pb2.Workspace(name="workspaces/acme", policy=policy)
    )
    shown = keywright("workspaces get acme").stdout
    lines = [line.partition("  ") for line in shown.splitlines()]
    rows = {label: text.strip() for label, _, text in lines}
    assert rows["policy max ttl"] == "12w"
    assert rows["policy default ttl"] == "1d 12h"
    assert rows["policy expiry required"] == "no"
    assert rows["policy key creation"] == "EVERYONE"
    document = json.loads(keywright("workspaces get acme -o json").stdout)
    assert document["policy"]["default_ttl"] == 36 * 3600
    assert document["permission_catalog"] is None


def test_a_new_workspace_is_shown_with_its_admin(keywright: Keywright, server: Server) -> None:
    ann = user_pb2.User(name="workspaces/acme/users/ann", email="ann@acme.example")
    server.replies["CreateWorkspace"] = workspace_service_pb2.CreateWorkspaceResponse(
        workspace=workspace_pb2.Workspace(name="workspaces/acme"), admin=ann, revision="r"
    )
    shown = keywright("workspaces create acme --admin-email ann@acme.example")
    assert "workspaces/acme" in shown.stdout
    assert "workspaces/acme/users/ann" in shown.stderr
    document = json.loads(keywright("workspaces create acme -o json").stdout)
    assert set(document) == {"workspace", "admin", "revision"}
    assert document["admin"]["email"] == "ann@acme.example"


def step(rule: str, verdict: str, message: str, **more: Any) -> Any:
    return auth_service_pb2.AccessStep(
        rule=auth_service_pb2.AccessRule.Value(f"ACCESS_RULE_{rule}"),
        verdict=auth_service_pb2.AccessVerdict.Value(f"ACCESS_VERDICT_{verdict}"),
        message=message,
        **more,
    )


DENIED = auth_service_pb2.ExplainAccessResponse(
    denial=denial_pb2.Denial(
        reason=error_reason_pb2.ERROR_REASON_PERMISSION_MISSING, message="lacks a.b"
    ),
    steps=[
        step("CREDENTIAL_STATE", "ALLOWS", "the key is enabled", subject="workspaces/w/keys/ci"),
        step("KEY_RESOURCE", "NEUTRAL", "the key is not bound"),
        step("USER_ROLE", "ALLOWS", "the role r gives a.b", values=["a.*", "c"]),
        step(
            "KEY_SCOPES",
            "DENIES",
            "narrowed \x1b[2J[red]",
            subject="workspaces/w/keys/ci",
            values=["c"],
            reason=error_reason_pb2.ERROR_REASON_PERMISSION_MISSING,
        ),
    ],
)


def test_an_explanation_is_a_tree_in_which_the_deciding_rule_is_marked(
    server: Server, keywright: Keywright
) -> None:
    server.replies["ExplainAccess"] = DENIED
    told = keywright("explain ci a.b --resource projects/a")
    assert told.exit_code == ExitCode.OK
    assert told.stdout.splitlines() == [
        "✗ denied: PERMISSION_MISSING: lacks a.b",
        "├── does it stand?",
        "│   └── ✓ the key is enabled",
        "├── is it used where it may be?",
        "│   └── · the key is not bound",
        "└── does it have a.b on projects/a?",
        "    ├── ✓ the role r gives a.b (the role: a.*, c)",
        r"    └── ✗ narrowed \x1b[2J[red] (c) <- decides: workspaces/w/keys/ci",
    ]


def test_what_gives_a_permission_decides_where_nothing_denies(
    server: Server, keywright: Keywright
) -> None:
    reply = auth_service_pb2.ExplainAccessResponse(allowed=True, steps=DENIED.steps[:3])
    server.replies["ExplainAccess"] = reply
    first, *_, last = keywright("explain ci a.b").stdout.splitlines()
    assert first == "✓ allowed"
    assert last.endswith("✓ the role r gives a.b (the role: a.*, c) <- decides")


def test_an_explanation_is_a_document_for_programs(server: Server, keywright: Keywright) -> None:
    server.replies["ExplainAccess"] = DENIED
    told = json.loads(keywright("explain ci a.b -o json").stdout)
    assert (told["allowed"], told["denial"]["reason"]) == (False, "PERMISSION_MISSING")
    assert told["steps"][2] == {
        "rule": "USER_ROLE",
        "verdict": "ALLOWS",
        "subject": "",
        "values": ["a.*", "c"],
        "message": "the role r gives a.b",
        "reason": "",
    }


@pytest.mark.parametrize(
    "arguments",
    [[], ["ci", "a.b", "--user", "ann"], ["a.b", "--user", ""], ["", "a.b"], ["ci", "a", "b"]],
)
def test_an_explanation_is_of_a_key_or_of_a_user(
    server: Server, keywright: Keywright, arguments: list[str]
) -> None:
    assert keywright("explain", *arguments).exit_code == ExitCode.USAGE
    assert server.called == []
