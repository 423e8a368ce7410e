"""What narrows a key, or makes a role or a catalogue, and is none; however it gets there."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.security.contract import new_id
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.support.service import PARENT, refusal

NO_PATTERNS = [
    *("", " ", ".", "..", "a..b", ".a", "a.", "*.a", "a.*.b", "**", "a*", "*a", "a.**", "a.*.*"),
    *("datasets.read ", " datasets.read", "datasets read", "datasets.read,labels.read"),
    *("datasets/read", "datasets:read", "datasets.read\n", "datasets.\0read", "!", "(.*)", "^"),
    *("\u0434atasets.read", "datasets\u200b.read", "\uff44atasets.read", "datasets\u2024read"),
    *("\u202edaer", "datas\u00e9ts.read", "x" * 129, f"{'x' * 127}.*"),
]
NO_NETWORKS = [
    *("", " ", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "/24", "192.0.2/24"),
    *("192.0.2.0/255.255.255.0", "192.0.2.0/24,198.51.100.0/24", "192.0.2.0-192.0.2.9", "*"),
    *("0/0", "3221225984", "0x7f.1", "192.0.2.0/0x18", "010.0.0.0/8", "example.com", "localhost"),
    *(
        "2001:db8::1/32",
        "2001:db8::/129",
        "2001:db8::/32 ",
        "[2001:db8::]/32",
        "::/",
        ":::",
        "1::2::3",
    ),
    *("fe80::1%eth0", "fe80::%eth0/64", "fe80::1%25eth0", "2001:db8::/32%eth0"),
    *("::ffff:192.0.2.1/120", "::ffff:192.0.2.0/129", "::ffff:300.0.0.0/120"),
    *(
        "\u0661.1.1.1",
        "192.0.2.\uff11",
        "192.0.2.0\u200b/24",
        "192.0.2.0/24\n",
        "192.0.2.0/2\u0664",
    ),
]
# As they were written, and as they are.
NETWORKS = {
    "192.0.2.0/24": "192.0.2.0/24",
    "192.0.2.1": "192.0.2.1/32",
    "0.0.0.0/0": "0.0.0.0/0",
    "2001:db8::/32": "2001:db8::/32",
    "2001:DB8:0::0/32": "2001:db8::/32",
    "2001:db8::1": "2001:db8::1/128",
    "::/0": "::/0",
    # IPv4 seen through an IPv6 socket (RFC 4291 section 2.5.5.2).
    "::ffff:192.0.2.0/120": "192.0.2.0/24",
    "::ffff:c000:200/120": "192.0.2.0/24",
    "::ffff:192.0.2.1": "192.0.2.1/32",
    "::ffff:0:0/96": "0.0.0.0/0",
}

Make = Callable[[Operated, dict[str, Any]], Awaitable[Any]]


async def created(service: Operated, key: dict[str, Any]) -> Any:
    return await service.admin.do("CreateKey", parent=PARENT, key=key)


async def ensured(service: Operated, key: dict[str, Any]) -> Any:
    return await service.admin.do("EnsureKey", parent=PARENT, key=key, key_id=new_id())


@pytest.fixture(scope="module", name="there")
async def _there(service: Operated) -> str:
    """A key to be changed."""
    await service.admin.create_key(key_id="there", scopes=["old.scope"])
    return f"{PARENT}/keys/there"


async def updated(service: Operated, key: dict[str, Any]) -> Any:
    return await service.admin.do("UpdateKey", key={"name": f"{PARENT}/keys/there", **key})


every_way = pytest.mark.parametrize("make", [created, ensured, updated])


def only(field: str, index: int | None = None) -> list[str]:
    return [field if index is None else f"{field}[{index}]"]


async def assert_invalid(call: Awaitable[Any], fields: list[str], what: object) -> None:
    error = await refusal(call)
    assert error.code.name == "INVALID_ARGUMENT", what
    assert error.reason == "FIELD_INVALID", what
    assert error.fields == fields, what


@every_way
async def test_a_scope_that_is_no_pattern_is_refused(
    service: Operated, there: str, make: Make
) -> None:
    before = await stored(service)
    for scope in NO_PATTERNS:
        await assert_invalid(make(service, {"scopes": [scope]}), only("key.scopes", 0), scope)
        two = make(service, {"scopes": ["datasets.read", scope]})
        await assert_invalid(two, only("key.scopes", 1), scope)
    assert await stored(service) == before


@every_way
async def test_scopes_are_each_there_once_and_a_hundred_at_most(
    service: Operated, there: str, make: Make
) -> None:
    before = await stored(service)
    for scopes in (
        ["datasets.read", "datasets.read"],
        ["*", "labels.read", "*"],
        [f"scope.s{each}" for each in range(101)],
        [f"scope.s{each}" for each in range(1_000)],
        ["datasets.read"] * 1_000,
    ):
        await assert_invalid(make(service, {"scopes": scopes}), only("key.scopes"), len(scopes))
    assert await stored(service) == before
    most = [f"scope.s{each}" for each in range(100)]
    assert sorted((await make(service, {"scopes": most})).key.scopes) == sorted(most)


@every_way
async def test_a_network_that_is_none_is_refused(service: Operated, there: str, make: Make) -> None:
    before = await stored(service)
    for network in NO_NETWORKS:
        alone = make(service, {"allowed_networks": [network]})
        await assert_invalid(alone, only("key.allowed_networks", 0), network)
        second = make(service, {"allowed_networks": ["192.0.2.0/24", network]})
        await assert_invalid(second, only("key.allowed_networks", 1), network)
    assert await stored(service) == before


@every_way
async def test_a_network_is_the_same_in_all_of_its_writings(
    service: Operated, there: str, make: Make
) -> None:
    for written, meant in NETWORKS.items():
        made = await make(service, {"allowed_networks": [written]})
        assert list(made.key.allowed_networks) == [meant], written


async def test_a_network_in_another_writing_is_no_way_out_of_ones_own(service: Operated) -> None:
    """A key that is bound makes and widens none beyond, also not in the words of IPv6."""
    # What calls from this machine comes from 127.0.0.1.
    bound = await service.admin.create_key(allowed_networks=["127.0.0.0/24"])
    caller = service.as_caller(bound.token)
    for network in ("::ffff:127.0.0.0/104", "::/0", "127.0.0.0/8", "::ffff:0:0/96"):
        error = await refusal(caller.create_key(allowed_networks=[network]))
        assert error.reason == "AUTHORITY_EXCEEDED", network
        key = {"name": bound.key.name, "allowed_networks": [network]}
        error = await refusal(caller.do("UpdateKey", key=key))
        assert error.reason == "AUTHORITY_EXCEEDED", network
    inside = await caller.create_key(allowed_networks=["::ffff:127.0.0.0/121"])
    assert list(inside.key.allowed_networks) == ["127.0.0.0/25"]


async def test_permissions_of_a_role_are_patterns_and_each_there_once(service: Operated) -> None:
    role_id = new_id("there")
    role = {"permissions": ["old.permission"]}
    await service.admin.do("CreateRole", parent=PARENT, role_id=role_id, role=role)

    def calls(permissions: list[str]) -> list[Awaitable[Any]]:
        given = {"permissions": permissions}
        changed = {"name": f"{PARENT}/roles/{role_id}", **given}
        return [
            service.admin.do("CreateRole", parent=PARENT, role_id=new_id(), role=given),
            service.admin.do("UpdateRole", role=changed),
        ]

    before = await stored(service)
    for pattern in NO_PATTERNS:
        for call in calls(["datasets.read", pattern]):
            await assert_invalid(call, only("role.permissions", 1), pattern)
    for permissions in (
        ["datasets.read", "datasets.read"],
        [f"permission.p{each}" for each in range(501)],
        [f"permission.p{each}" for each in range(1_000)],
    ):
        for call in calls(permissions):
            await assert_invalid(call, only("role.permissions"), len(permissions))
    assert await stored(service) == before


async def test_a_catalogue_has_permissions_and_no_patterns(service: Operated) -> None:
    path = "workspace.permission_catalog.entries"
    many = [{"permission": f"permission.p{each}"} for each in range(1_001)]
    before = await stored(service)
    for entries, field in (
        *(([{"permission": each}], f"{path}[0].permission") for each in NO_PATTERNS),
        *(([{"permission": each}], f"{path}[0].permission") for each in ("datasets.*", "*")),
        ([{"permission": "a.b"}, {"permission": "a.b"}], f"{path}[1].permission"),
        (many, path),
    ):
        workspace = {"permission_catalog": {"entries": entries}}
        for call in (
            service.admin.do("UpdateWorkspace", workspace={"name": PARENT, **workspace}),
            service.operator.do("CreateWorkspace", workspace=workspace, workspace_id=new_id()),
        ):
            await assert_invalid(call, [field], field)
    assert await stored(service) == before


async def test_what_is_in_no_catalogue_is_told_by_name(service: Operated) -> None:
    """Where a workspace keeps one; the service's own permissions are always known."""

    async def keep(catalog: dict[str, Any] | None) -> None:
        workspace = {"name": PARENT, "permission_catalog": catalog}
        mask = {"paths": ["permission_catalog"]}
        await service.admin.do("UpdateWorkspace", workspace=workspace, update_mask=mask)

    await keep({"entries": [{"permission": "datasets.read"}]})
    before = await stored(service)
    try:
        for scope in ("datasets.raed", "dataset.read", "datasets.read.more", "Datasets.read"):
            for call, field in (
                (service.admin.create_key(scopes=["datasets.read", scope]), "key.scopes[1]"),
                (ensured(service, {"scopes": ["keys.own", scope]}), "key.scopes[1]"),
                (
                    service.admin.do(
                        "CreateRole",
                        parent=PARENT,
                        role_id="never",
                        role={"permissions": ["*", scope]},
                    ),
                    "role.permissions[1]",
                ),
            ):
                error = await refusal(call)
                assert error.reason == "PERMISSION_UNKNOWN"
                assert error.info.metadata["permission"] == scope
                assert error.fields == [field]
        assert await stored(service) == before
    finally:
        await keep(None)
