"""Whoever presents its own credential is told who it is, whatever it may do."""

import pytest

from tests.support.service import PARENT, RefusedError, Service


async def test_a_key_without_any_permission_learns_who_it_is(service: Service) -> None:
    created = await service.admin.create_key(scopes=["nothing.at.all"])
    principal = await service.as_caller(created.token).authenticate(created.token)
    assert principal.user.email == "admin@localhost"
    assert list(principal.permissions) == ["nothing.at.all"]


async def test_a_key_bound_to_networks_is_taken_to_come_from_where_it_calls(
    service: Service,
) -> None:
    here = await service.admin.create_key(allowed_networks=["127.0.0.0/8"])
    principal = await service.as_caller(here.token).authenticate(here.token)
    assert list(principal.allowed_networks) == ["127.0.0.0/8"]

    elsewhere = await service.admin.create_key(allowed_networks=["192.0.2.0/24"])
    with pytest.raises(RefusedError) as refused:
        await service.as_caller(elsewhere.token).authenticate(elsewhere.token)
    assert refused.value.reason == "CALLER_CREDENTIAL_INVALID"
    assert refused.value.info.metadata["caller_reason"] == "ADDRESS_NOT_ALLOWED"


async def test_a_key_bound_to_a_resource_manages_at_most_what_is_bound_there(
    service: Service,
) -> None:
    created = await service.admin.create_key(resource="projects/a")
    bound = service.as_caller(created.token)

    principal = await bound.authenticate(created.token, resource="projects/a/x")
    assert principal.resource == "projects/a"
    with pytest.raises(RefusedError) as refused:
        await bound.authenticate(created.token)
    assert refused.value.reason == "RESOURCE_REQUIRED"
    await service.admin.create_key(resource="projects/b")
    assert [key.name for key in (await bound.list_keys()).keys] == [created.key.name]
    for resource in ("", "projects/a", "projects/b"):
        with pytest.raises(RefusedError) as refused:
            await bound.create_key(resource=resource)
        assert refused.value.reason == "CALLER_PERMISSION_MISSING"

    ann = await service.person("bound-collaborator", "collaborator")
    theirs = await service.admin.create_key(
        user=f"{PARENT}/users/bound-collaborator", resource="projects/a"
    )
    with pytest.raises(RefusedError) as refused:
        await service.as_caller(theirs.token).list_keys()
    assert refused.value.reason == "CALLER_PERMISSION_MISSING"
    assert theirs.key.name in [key.name for key in (await ann.list_keys()).keys]


async def test_anothers_token_needs_the_permission_to_authenticate(service: Service) -> None:
    member = await service.person("member-without")
    authenticator = await service.person("authenticator", role="authenticator")
    created = await service.admin.create_key()

    with pytest.raises(RefusedError) as refused:
        await member.authenticate(created.token)
    assert refused.value.reason == "CALLER_PERMISSION_MISSING"
    assert (await authenticator.authenticate(created.token)).user.email == "admin@localhost"
