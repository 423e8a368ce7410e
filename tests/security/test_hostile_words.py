"""What people write: limits, characters that pose as others, and patterns that are none."""

import uuid
from typing import Any

import pytest

from keywright.v1 import user_pb2, user_service_pb2
from tests.security.contract import IMPLEMENTED, Place, entitled, good_request, text_places
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.support.service import PARENT, RefusedError, Service, refusal

# Nothing of this is special to keywright: it comes back as it went in.
WORDS = [
    "Ångström caf\u0065\u0301 \u00e9",  # composed and decomposed: neither is turned into the other
    "👩\u200d👩\u200d👧 ☕ \U0001f1e9\U0001f1ea",
    "日本語 العربية עברית हिन्दी",
    "a\u200bb\ufeffc\u00adb",
    "\ufdfa\uffff\U0010ffff\ue000",
    "Robert'); DROP TABLE keywright.key; --",
    '<script>alert(1)</script> &amp; "quoted" `id` $(id) ${jndi:ldap://x}',
    "%s %n {0} {} \\0 \\x00 \\u0000 $1 \\",
    "%", "_", "*", "..", "null", "undefined", "-1", " leading and trailing ",
]  # fmt: skip
REORDERING = ["\u202e", "\u202d", "\u202a", "\u202b", "\u202c", "\u2066", "\u2067", "\u2068"]
BREAKS = ["\n", "\r", "\u2028", "\u2029", "\0", "\x1b", "\x85", "\t"]


async def refused_field(call: Any, field: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await call
    assert refused.value.code.name == "INVALID_ARGUMENT"
    assert refused.value.reason == "FIELD_INVALID"
    assert [each.partition("[")[0] for each in refused.value.fields] == [field]


@pytest.mark.parametrize("word", WORDS)
async def test_a_word_in_any_writing_comes_back_as_it_went_in(service: Service, word: str) -> None:
    created = await service.admin.create_key(display_name=word, labels={"word": word})
    key = await service.admin.get_key(created.key.name)
    assert (key.display_name, key.labels["word"]) == (word, word)
    found = await service.admin.list_keys(filter={"labels": {"word": word}})
    assert [each.name for each in found.keys] == [key.name]
    assert key.name in [each.name for each in (await search(service, word))]


async def search(service: Service, text: str) -> list[Any]:
    return list((await service.admin.list_keys(page_size=1000, filter={"search": text})).keys)


@pytest.mark.parametrize("character", [*REORDERING, *BREAKS], ids=ascii)
async def test_a_character_that_makes_a_name_look_like_another_is_refused(
    service: Service, character: str
) -> None:
    """Reversed or broken, a name can pose as another (CVE-2021-42574)."""
    text = f"report{character}fdp.exe"
    admin = service.admin
    await refused_field(admin.create_key(display_name=text), "key.display_name")
    await refused_field(admin.create_key(labels={"a": text}), "key.labels")
    await refused_field(admin.create_key(labels={text: "a"}), "key.labels")
    await refused_field(admin.create_user("x", display_name=text), "user.display_name")
    await refused_field(admin.create_user("x", external_id=text), "user.external_id")
    await refused_field(admin.create_user("x", email=f"{text}@b.example"), "user.email")


# Every place where words for people are kept.
WORDED = [
    place
    for method in IMPLEMENTED
    for place in text_places(method)
    if place.field.name in {"display_name", "description", "labels", "external_id"}
    and place.steps[0].name in {"key", "user", "role", "workspace"}
]


@pytest.mark.parametrize("place", WORDED, ids=str)
async def test_words_for_people_have_no_characters_that_rearrange_them(
    service: Operated, place: Place
) -> None:
    """Nor any that would break a line of a list or a log, unless they are prose."""
    request = await good_request(service, place.method)
    caller = entitled(service, place.method)
    before = await stored(service)
    allowed = {"\n", "\r", "\t"} if place.field.name == "description" else set()
    for character in {*REORDERING, *BREAKS, "\u2069", "\x7f", "\x9f", "\x0b", "\x0c"} - allowed:
        hostile = place.method.request_type()
        hostile.CopyFrom(request)
        place.put(hostile, f"report{character}fdp.exe")
        error = await refusal(caller.send(place.method.path, hostile.SerializeToString()))
        assert error.reason == "FIELD_INVALID", ascii(character)
        assert place.is_told(error.fields), ascii(character)
    assert await stored(service) == before


def test_words_are_kept_in_many_places() -> None:
    """Else the test above would pass without one."""
    assert {
        *("CreateKey.key.display_name", "EnsureKey.key.labels", "UpdateKey.key.display_name"),
        *("CreateUser.user.external_id", "UpdateUser.user.display_name", "UpdateUser.user.labels"),
        *("CreateRole.role.description", "UpdateRole.role.description"),
        *("CreateWorkspace.workspace.display_name", "UpdateWorkspace.workspace.labels"),
        "UpdateWorkspace.workspace.permission_catalog.entries.description",
    } <= set(map(str, WORDED))


# Nothing, or nothing but room, is seen of these; not all are of a category that says so.
INVISIBLE = [
    *("\u00ad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u061c", "\u2060", "\u2064"),
    *("\ufeff", "\u180e", "\u206a", "\U000e0001", "\U000e0041", "\u00a0", "\u2003", "\u3000"),
    *("\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180d", "\u180f", "\u2800"),
    *("\u3164", "\ufe00", "\ufe0f", "\uffa0", "\U000e0100", "\U000e01ef"),
]


async def test_an_address_has_no_invisible_characters(service: Operated) -> None:
    """With one, two users would look exactly alike."""
    ann = await service.admin.create_user("ann-seen", email="ann-seen@example.com")
    before = await stored(service)
    for character in INVISIBLE:
        for email in (f"ann{character}-seen@example.com", f"ann-seen@exam{character}ple.com"):
            for call, field in (
                (service.admin.create_user("ann-unseen", email=email), "user.email"),
                (
                    service.admin.do("UpdateUser", user={"name": ann.name, "email": email}),
                    "user.email",
                ),
                (
                    service.operator.do(
                        "CreateWorkspace", workspace={}, workspace_id="w", admin_email=email
                    ),
                    "admin_email",
                ),
            ):
                await refused_field(call, field)
    assert await stored(service) == before


async def test_an_address_that_is_read_as_another_is_taken(service: Operated) -> None:
    """Of addresses that differ in case or in width only there is one; not so of look-alikes."""
    for user_id, email in (("zoe-1", "zoe@example.com"), ("zoe-2", "pete@example.com")):
        await service.admin.create_user(user_id, email=email)
    before = await stored(service)
    for email in ("ZOE@EXAMPLE.COM", "\uff5a\uff4f\uff45@example.com", "zoe@\u24d4xample.com"):
        for call in (
            service.admin.create_user("zoe-3", email=email),
            service.admin.do("UpdateUser", user={"name": f"{PARENT}/users/zoe-2", "email": email}),
        ):
            error = await refusal(call)
            assert error.reason == "RESOURCE_ALREADY_EXISTS"
            assert error.fields == ["user.email"]
        assert (await service.admin.get_user(f"{PARENT}/users/{email}")).email == "zoe@example.com"
    assert await stored(service) == before
    lookalike = await service.admin.create_user("zoe-4", email="zo\u0435@example.com")
    assert (await service.admin.get_user(f"{PARENT}/users/zoe@example.com")).name != lookalike.name


LIMITS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("key.display_name", {"display_name": "x" * 200}, {"display_name": "x" * 201}),
    ("key.display_name", {"display_name": "😀" * 200}, {"display_name": "😀" * 201}),
    ("key_id", {"key_id": "k" * 63}, {"key_id": "k" * 64}),
    ("key.resource", {"resource": "𠀀" * 512}, {"resource": "x" * 513}),
    ("key.scopes", {"scopes": ["s" * 128]}, {"scopes": ["s" * 129]}),
    (
        "key.scopes",
        {"scopes": [f"s{each}" for each in range(100)]},
        {"scopes": [f"s{each}" for each in range(101)]},
    ),
    (
        "key.labels",
        {"labels": {f"l{each}": "x" * 256 for each in range(64)}},
        {"labels": {f"l{each}": "" for each in range(65)}},
    ),
    ("key.labels", {"labels": {"l" * 63: ""}}, {"labels": {"l" * 64: ""}}),
    ("key.labels", {"labels": {"l": "x" * 256}}, {"labels": {"l": "x" * 257}}),
    (
        "key.allowed_networks",
        {"allowed_networks": [f"192.0.2.{each}" for each in range(100)]},
        {"allowed_networks": [f"192.0.2.{each}" for each in range(101)]},
    ),
]


@pytest.mark.parametrize(("field", "most", "too_much"), LIMITS)
async def test_a_limit_of_a_key_is_met_exactly(
    service: Service, field: str, most: dict[str, Any], too_much: dict[str, Any]
) -> None:
    await service.admin.create_key(**most)
    await refused_field(service.admin.create_key(**too_much), field)


USER_LIMITS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("user_id", {"user_id": "u" * 63}, {"user_id": "u" * 64}),
    ("user.display_name", {"display_name": "x" * 200}, {"display_name": "x" * 201}),
    ("user.external_id", {"external_id": "𠀀" * 256}, {"external_id": "𠀀" * 257}),
    (
        "user.email",
        {"email": f"{'a' * 64}@{'b' * 189}"},
        {"email": f"{'a' * 64}@{'b' * 190}"},
    ),
    # Eighteen characters each in the form in which addresses are compared.
    ("user.email", {"email": "\u3310@b.example"}, {"email": "\ufdfa@b.example"}),
    ("user.email", {"email": "\uff41@b.example"}, {"email": "a\uff20b@b.example"}),
]


@pytest.mark.parametrize(("field", "most", "too_much"), USER_LIMITS)
async def test_a_limit_of_a_user_is_met_exactly(
    service: Service, field: str, most: dict[str, Any], too_much: dict[str, Any]
) -> None:
    await service.admin.create_user(**{"user_id": f"u-{uuid.uuid4().hex}"} | most)
    await refused_field(service.admin.create_user(**{"user_id": "other"} | too_much), field)


@pytest.mark.parametrize("network", [
    "192.0.2.1/24", "192.0.2.0/33", "192.0.2", "0/0", "localhost", "::1/129", "fe80::1%eth0", "",
    "fe80::1%eth0/128", "192.0.2.1\0", "1.2.3.4/0xff", "\u0661.1.1.1", "010.0.0.1", " 192.0.2.1",
])  # fmt: skip
async def test_what_is_no_network_is_refused(service: Service, network: str) -> None:
    await refused_field(
        service.admin.create_key(allowed_networks=[network]), "key.allowed_networks"
    )


@pytest.mark.parametrize("address", [
    "192.0.2.1/32", "192.0.2", "localhost", "fe80::1%eth0", "192.0.2.1\0", "192.0.2.1:80", "[::1]",
    "192.0.2.1, 198.51.100.1", "\u0661.1.1.1", "010.0.0.1", " 192.0.2.1", "unix:", "1" * 2**20,
], ids=lambda text: ascii(text[:30]))  # fmt: skip
async def test_what_is_no_address_is_refused(service: Service, address: str) -> None:
    call = service.admin.authenticate(service.admin_token, client_address=address)
    await refused_field(call, "client_address")


@pytest.mark.parametrize("network", ["192.0.2.0/24", "::ffff:192.0.2.0/120"])
async def test_an_address_is_the_same_in_both_of_its_writings(
    service: Service, network: str
) -> None:
    """An IPv4 client seen through an IPv6 socket is `::ffff:192.0.2.1` (RFC 4291, 2.5.5.2)."""
    token = (await service.admin.create_key(allowed_networks=[network])).token
    for address in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"):
        await service.admin.authenticate(token, client_address=address)
    for address in ("198.51.100.1", "::ffff:198.51.100.1", "::192.0.2.1", "64:ff9b::192.0.2.1"):
        with pytest.raises(RefusedError) as refused:
            await service.admin.authenticate(token, client_address=address)
        assert refused.value.reason == "ADDRESS_NOT_ALLOWED"


async def test_in_a_search_every_character_stands_for_itself(service: Service) -> None:
    admin = service.admin
    names = ["100%", "100 percent", "snake_case", "snakeXcase", "a*b", "aXb", "back\\slash", "[a]"]
    for name in names:
        await admin.create_key(display_name=f"s:{name}")
        await admin.create_user(
            f"s-{names.index(name)}", display_name=f"s:{name}", email=f"s{names.index(name)}@b.c"
        )
    for text, expected in {
        "s:100%": ["100%"],
        "0%": ["100%"],
        "S:SNAKE_": ["snake_case"],
        "s:snake_case": ["snake_case"],
        "s:a*": ["a*b"],
        "back\\": ["back\\slash"],
        "[a]": ["[a]"],
        "s:%": [],
        "s:_": [],
        "s:.*": [],
        "s:[a-z]": [],
    }.items():
        wanted = [f"s:{each}" for each in expected]
        assert [each.display_name for each in await search(service, text)] == wanted
        users = await admin.users("ListUsers", list_users(search=text))
        assert [each.display_name for each in users.users] == wanted


def list_users(**only: Any) -> user_service_pb2.ListUsersRequest:
    only_those = user_pb2.UserFilter(**only)
    return user_service_pb2.ListUsersRequest(parent=PARENT, filter=only_those)
