"""What every method and message of the wire contract keeps to, read from the descriptors.

That every element has a comment, and names follow the style, is for `buf lint` to say.
"""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import combinations
from pathlib import Path

import protovalidate
import pytest
from google.api import (
    annotations_pb2,
    field_behavior_pb2,
    resource_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import keywright.v1
from keywright.domain.errors import STATUS, Reason
from keywright.v1 import error_reason_pb2
from keywright.v1._third_party.buf.validate import validate_pb2

PROTOS = Path(__file__).resolve().parents[2] / "protos" / "keywright" / "v1"

FILES = [
    import_module(module.name).DESCRIPTOR
    for module in pkgutil.iter_modules(keywright.v1.__path__, "keywright.v1.")
    if module.name.endswith("_pb2")
]
METHODS = [
    method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
]
MESSAGES = [message for file in FILES for message in file.message_types_by_name.values()]
RESOURCES = {
    message.name: message
    for message in MESSAGES
    if message.GetOptions().HasExtension(resource_pb2.resource)
}

# AuthService changes nothing; elsewhere these verbs do not.
READS = re.compile(r"(Get|List|Lookup|Query|Verify)[A-Z]")
MUTATIONS = [
    method
    for method in METHODS
    if method.containing_service.name != "AuthService" and not READS.match(method.name)
]
NARROWS = re.compile(r"(Update|Delete|Disable|Revoke|Rotate)[A-Z]")

# Whoever found a token may report it, again and again, and is told nothing.
TELLS_NOTHING = {"ReportLeakedToken"}
OF_MANY = {"RevokeKeys", "RevokeSessions", "ImportKeys"}

# Every place where something secret crosses the wire: in once presented, out once shown.
SECRETS = {
    "AuthenticateRequest.token",
    "CreateKeyResponse.token",
    "CreateSessionRequest.key_token",
    "CreateSessionRequest.link_token",
    "CreateSessionResponse.token",
    "CreateSignInLinkResponse.link_token",
    "EnsureKeyResponse.token",
    "ExchangeTokenResponse.token",
    "ImportItem.hash",
    "OpenIdConnectProof.id_token",
    "ReportLeakedTokenRequest.token",
    "RotateKeyResponse.token",
}
LIKE_A_SECRET = re.compile(r"token|secret|password|hash|pepper|private|digest|verifier")
NOT_SECRET = {"page_token", "next_page_token"}
# Over the events of an audit trail, and published.
SECRETS_BY_NAME_ONLY = {"AuditSeal.digest"}


def by_name(method: MethodDescriptor) -> str:
    return method.full_name.removeprefix("keywright.v1.")


def type_of(field: FieldDescriptor) -> str:
    """The full name of a message's or an enum's type; of anything else its name in a proto."""
    composite = field.message_type or field.enum_type
    return composite.full_name if composite else SCALARS.get(field.type, "")


def behaviors(field: FieldDescriptor) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_INT32: "int32",
}
TEXT = {"string", "bytes"}

every_method = pytest.mark.parametrize("method", METHODS, ids=by_name)
every_mutation = pytest.mark.parametrize("method", MUTATIONS, ids=by_name)


def test_the_services_are_those_of_the_design() -> None:
    services = {method.containing_service.name for method in METHODS}
    assert services == {
        *("AuthService", "KeyService", "UserService", "RoleService", "GrantService"),
        *("WorkspaceService", "SshKeyService", "SessionService", "AuditService", "UsageService"),
    }


@every_mutation
def test_a_mutation_can_be_repeated_and_tells_its_revision(method: MethodDescriptor) -> None:
    if method.name in TELLS_NOTHING:
        assert not method.output_type.fields
        return
    answer = method.output_type.fields_by_name
    assert type_of(method.input_type.fields_by_name["request_id"]) == "string"
    assert type_of(answer["revision"]) == "string"
    assert type_of(answer["replayed"]) == "bool"


@every_mutation
def test_a_mutation_returns_the_resource_that_it_changed(method: MethodDescriptor) -> None:
    if method.name in TELLS_NOTHING | OF_MANY | {"CreateSignInLink"}:
        return
    first = type_of(method.output_type.fields[0]).removeprefix("keywright.v1.")
    assert first in RESOURCES
    assert method.name.endswith(first)


@every_mutation
def test_what_can_narrow_can_wait_and_says_how_long_it_did(method: MethodDescriptor) -> None:
    waits = "wait" in method.input_type.fields_by_name
    assert waits == bool(NARROWS.match(method.name))
    assert waits == ("waited" in method.output_type.fields_by_name)
    if waits:
        assert type_of(method.input_type.fields_by_name["wait"]) == "keywright.v1.WaitMode"
        waited = method.output_type.fields_by_name["waited"]
        assert type_of(waited) == "google.protobuf.Duration"


@pytest.mark.parametrize(
    "method", [each for each in METHODS if each.name.startswith(("List", "Query"))], ids=by_name
)
def test_every_list_comes_in_pages(method: MethodDescriptor) -> None:
    asked = method.input_type.fields_by_name
    assert type_of(asked["page_size"]) == "int32"
    assert type_of(asked["page_token"]) == "string"
    assert type_of(method.output_type.fields_by_name["next_page_token"]) == "string"
    assert method.output_type.fields[0].is_repeated


@every_method
def test_every_unary_method_has_an_http_mapping(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    if method.client_streaming or method.server_streaming:
        assert not options.HasExtension(annotations_pb2.http)
        return
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    expected = {"Get": "get", "List": "get", "Lookup": "get", "Query": "get"} | {
        "Update": "patch",
        "Delete": "delete",
    }
    assert verb == next(
        (http for prefix, http in expected.items() if method.name.startswith(prefix)), "post"
    )
    for variable in re.findall(r"\{([a-z_.]+)=", getattr(rule, verb)):
        message: Descriptor | None = method.input_type
        for step in variable.split("."):
            assert message is not None
            message = message.fields_by_name[step].message_type
        assert message is None, "an address holds text"
    assert rule.body in {"", "*", *method.input_type.fields_by_name}
    assert bool(rule.body) == (verb in {"post", "patch"})


def test_no_two_methods_share_an_http_path() -> None:
    rules = [method.GetOptions().Extensions[annotations_pb2.http] for method in METHODS]
    paths = [
        (verb, re.sub(r"\{[a-z_.]+=([^}]*)\}", r"\1", getattr(rule, verb)))
        for rule in rules
        if (verb := rule.WhichOneof("pattern"))
    ]
    assert len(paths) == len(set(paths))


def places(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """Every field of a message and, once each, of the messages in it."""
    seen.add(message.full_name)
    for field in message.fields:
        yield field
        inner = field.message_type
        if inner and inner.file in FILES and inner.full_name not in seen:
            yield from places(inner, seen)


def name_of(field: FieldDescriptor) -> str:
    return str(field.full_name).removeprefix("keywright.v1.")


def test_nothing_secret_is_on_the_wire_but_where_it_is_presented_or_shown_once() -> None:
    found = {
        name_of(field)
        for message in MESSAGES
        for field in message.fields
        if type_of(field) in TEXT
        and LIKE_A_SECRET.search(field.name)
        and field.name not in NOT_SECRET
    }
    assert found - SECRETS_BY_NAME_ONLY == SECRETS


@every_method
def test_nothing_secret_is_in_an_address(method: MethodDescriptor) -> None:
    if any(name_of(field) in SECRETS for field in places(method.input_type, set())):
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        streams = method.client_streaming
        assert streams or (rule.WhichOneof("pattern"), rule.body) == ("post", "*")


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda each: each.name)
def test_a_resource_has_a_name_and_times_and_an_etag_where_it_can_change(
    resource: Descriptor,
) -> None:
    option = resource.GetOptions().Extensions[resource_pb2.resource]
    assert option.type == f"keywright.dev/{resource.name}"
    assert re.fullmatch(r"(?:workspaces/\{workspace\}(?:/.*)?)", option.pattern[0])
    assert option.singular
    assert option.plural
    fields = resource.fields_by_name
    assert fields["name"].number == 1
    assert behaviors(fields["name"]) == {field_behavior_pb2.IDENTIFIER}
    assert behaviors(fields["create_time"]) == {field_behavior_pb2.OUTPUT_ONLY}
    update = [each for each in METHODS if each.name == f"Update{resource.name}"]
    assert ("etag" in fields) == ("update_time" in fields) == bool(update)
    for method in update:
        mask = method.input_type.fields_by_name["update_mask"]
        assert type_of(mask) == "google.protobuf.FieldMask"


@pytest.mark.parametrize(
    "method",
    [each for each in MUTATIONS if re.match(r"(Delete|Disable|Enable|Revoke|Rotate)", each.name)],
    ids=by_name,
)
def test_a_change_of_what_has_an_etag_can_be_made_conditional(method: MethodDescriptor) -> None:
    resource = RESOURCES.get(re.sub(r"^[A-Z][a-z]+", "", method.name))
    if resource is not None and "etag" in resource.fields_by_name:
        assert type_of(method.input_type.fields_by_name["etag"]) == "string"


def is_filled_by_a_client(field: FieldDescriptor) -> bool:
    ignored = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return not behaviors(field) & ignored


@every_method
def test_a_management_request_takes_no_text_and_no_list_without_a_bound(
    method: MethodDescriptor,
) -> None:
    """AuthService has no rules: it checks by hand, since its requests are the hot path."""
    for field in places(method.input_type, set()):
        ruled = field.GetOptions().HasExtension(validate_pb2.field)
        if method.containing_service.name == "AuthService":
            assert not ruled
        elif (type_of(field) in TEXT or field.is_repeated) and is_filled_by_a_client(field):
            # The two fields of a map's entry are bounded where the map is.
            holder = field.containing_type
            assert ruled or (holder and holder.GetOptions().map_entry), name_of(field)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.name)
def test_the_rules_of_every_message_compile(message: Descriptor) -> None:
    protovalidate.collect_violations(GetMessageClass(message)())


def request_for(method_name: str, **values: object) -> Message:
    method = next(each for each in METHODS if each.name == method_name)
    return GetMessageClass(method.input_type)(**values)


def complaints(message: Message) -> dict[str, str]:
    return {
        ".".join(element.field_name for element in violation.proto.field.elements)
        if violation.proto.field
        else "": violation.proto.message
        for violation in protovalidate.collect_violations(message)
    }


LONGEST_ID = "a" * 63
GOOD_NAMES = {
    "GetWorkspace": ["workspaces/a", f"workspaces/{LONGEST_ID}", "workspaces/a-1--b"],
    "GetUser": [
        "workspaces/a/users/ann",
        "workspaces/a/users/ann@acme.example",
        "workspaces/a/users/Ann.O'Hara+keys@acme.example",
        "workspaces/a/users/ännchen@müller.example",
        f"workspaces/{LONGEST_ID}/users/{'a' * 242}@acme.example",
    ],
    "GetKey": ["workspaces/a/keys/k", f"workspaces/{LONGEST_ID}/keys/{LONGEST_ID}"],
    "GetRole": ["workspaces/a/roles/admin", "workspaces/a/roles/Admin"],
    "GetGrant": ["workspaces/a/grants/g"],
    "GetSshKey": [
        "workspaces/a/users/u/sshKeys/laptop",
        "workspaces/a/users/ann@acme.example/sshKeys/laptop",
    ],
    "GetSession": ["workspaces/a/sessions/s"],
    "GetAuditEvent": ["workspaces/a/auditEvents/e"],
}


@pytest.mark.parametrize("method", GOOD_NAMES)
def test_a_name_that_can_exist_is_taken_and_one_that_cannot_is_refused(method: str) -> None:
    good = GOOD_NAMES[method]
    for name in good:
        assert complaints(request_for(method, name=name)) == {}, name
    prefix = good[0]
    other = "workspaces/a/keys/k" if method != "GetKey" else "workspaces/a/users/u"
    for name in (
        "",
        "x",
        other,
        f"/{prefix}",
        f"{prefix}/",
        f"{prefix}\n",
        f"{prefix}\0",
        "a" * 2**20,
    ):
        assert list(complaints(request_for(method, name=name))) == ["name"], repr(name)
    for workspace in ("", "-a", "a-", "A", "a_b", "a" * 64, "%", "ä"):
        name = prefix.replace("workspaces/a", f"workspaces/{workspace}")
        assert list(complaints(request_for(method, name=name))) == ["name"], name


KEY_FIELDS: list[tuple[str, list[object], list[object]]] = [
    ("display_name", ["", "Nightly build ☕", "x" * 200, "%_*"], ["x" * 201, "a\0", "a\nb"]),
    ("user", ["", "workspaces/a/users/ann@acme.example"], ["ann", "workspaces/a/users/"]),
    ("role", ["", "workspaces/a/roles/Member"], ["member", "workspaces/a/roles/a b"]),
    (
        "scopes",
        [[], ["*"], ["datasets.read", "labels.*", "auth.authenticateAny", "a-b.c_d"]],
        [[""], ["a..b"], ["*.a"], ["a*"], ["a b"], ["a", "a"], [f"a{i}" for i in range(101)]],
    ),
    (
        "resource",
        ["", "projects/abc", "a", "projects/abc/datasets/1 %_ä"],
        ["/a", "a/", "a//b", "a\0", "x" * 513],
    ),
    ("environment", ["", "live", "e" * 16], ["Live", "1a", "a_b", "e" * 17]),
    (
        "labels",
        [{"team": ""}, {"acme.example/team": "x" * 256}],
        [{"": "x"}, {"Team": "x"}, {"a" * 64: "x"}, {"a": "x" * 257}, {"a": "\0"}],
    ),
    (
        "allowed_networks",
        [["192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::1", "::ffff:192.0.2.0/120"]],
        [[""], ["192.0.2.0/33"], ["localhost"], ["192.0.2"], ["::1"] * 101],
    ),
    ("etag", ["", "e" * 128], ["e" * 129]),
]


@pytest.mark.parametrize(("field", "good", "bad"), KEY_FIELDS, ids=[each[0] for each in KEY_FIELDS])
def test_a_field_of_a_key_is_refused_only_where_it_cannot_be_right(
    field: str, good: list[object], bad: list[object]
) -> None:
    for value in good:
        request = request_for("CreateKey", parent="workspaces/a", key={field: value})
        assert complaints(request) == {}, value
    for value in bad:
        request = request_for("CreateKey", parent="workspaces/a", key={field: value})
        assert list(complaints(request)) == [f"key.{field}"], value


def test_what_a_client_may_not_set_is_ignored_and_not_refused() -> None:
    ignored = {"name": "x\0", "prefix": "y", "creator": "z", "creator_email": "?"}
    assert complaints(request_for("CreateKey", parent="workspaces/a", key=ignored)) == {}


def test_a_key_needs_no_more_than_a_workspace() -> None:
    assert complaints(request_for("CreateKey", parent="workspaces/a")) == {}


def test_a_lifetime_is_said_in_one_way_only() -> None:
    moment, span = {"seconds": 1}, {"seconds": 60}
    ways: list[dict[str, object]] = [
        {"key": {"expire_time": moment}},
        {"ttl": span},
        {"never_expires": True},
    ]
    for method in ("CreateKey", "EnsureKey"):
        name: dict[str, object] = {"parent": "workspaces/a", "key_id": "k"}
        for way in ways:
            assert complaints(request_for(method, **name, **way)) == {}
        for one, other in combinations(ways, 2):
            assert "only one of" in complaints(request_for(method, **name, **one, **other))[""]


def test_an_update_must_say_what_it_updates() -> None:
    for method in ("UpdateKey", "UpdateUser", "UpdateRole", "UpdateWorkspace"):
        kind = method.removeprefix("Update").lower()
        assert list(complaints(request_for(method, **{kind: {"display_name": "x"}}))) == [kind]
        name = GOOD_NAMES[f"Get{method.removeprefix('Update')}"][0]
        assert complaints(request_for(method, **{kind: {"name": name}})) == {}


def test_every_key_cannot_be_revoked_by_leaving_the_filter_empty() -> None:
    for nothing in (None, {}, {"user": ""}):
        request = request_for("RevokeKeys", parent="workspaces/a", filter=nothing)
        assert list(complaints(request)) == ["filter"]
    by_user = {"user": "workspaces/a/users/ann@acme.example"}
    assert complaints(request_for("RevokeKeys", parent="workspaces/a", filter=by_user)) == {}


def test_a_moment_or_a_span_out_of_all_bounds_is_refused_and_not_a_fault() -> None:
    for seconds in (-1, 7 * 86400 + 1, 2**62, -(2**62)):
        request = request_for("RotateKey", name="workspaces/a/keys/k", grace={"seconds": seconds})
        assert list(complaints(request)) == ["grace"]
    times = {"start_time": {"seconds": 2**62}, "end_time": {"seconds": -(2**62)}}
    assert "" in complaints(request_for("QueryUsage", parent="workspaces/a", **times))


def comments_of_reasons() -> dict[str, str]:
    """The comment of each `ErrorReason` by the value's name; descriptors do not keep comments."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in (PROTOS / "error_reason.proto").read_text().splitlines():
        if value := re.match(r"  ERROR_REASON_(\w+) = \d+;", line):
            found[value[1]] = " ".join(comment)
            comment = []
        elif line.startswith("  //"):
            comment.append(line.removeprefix("  //").strip())
        else:
            comment = []
    return found


def test_the_reasons_on_the_wire_are_those_of_the_domain_with_the_codes_that_are_documented() -> (
    None
):
    names = [
        name.removeprefix("ERROR_REASON_")
        for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
        if name != "ERROR_REASON_UNSPECIFIED"
    ]
    assert set(names) == {reason.name for reason in Reason}
    comments = comments_of_reasons()
    for name in names:
        codes = comments[name].partition(". ")[0]
        assert STATUS[Reason[name]].name in codes, f"{name} is documented as {codes}"
