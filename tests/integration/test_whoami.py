"""Whoever presents its own credential is told who it is, whatever it may do."""

import pytest

from tests.support.service import RefusedError, Service


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


async def test_a_key_bound_to_a_resource_can_present_itself_there_and_manage_nothing(
    service: Service,
) -> None:
    created = await service.admin.create_key(resource="projects/a")
    bound = service.as_caller(created.token)

    principal = await bound.authenticate(created.token, resource="projects/a/x")
    assert principal.resource == "projects/a"
    with pytest.raises(RefusedError) as refused:
        await bound.authenticate(created.token)
    assert refused.value.reason == "RESOURCE_REQUIRED"
    with pytest.raises(RefusedError) as refused:
        await bound.list_keys()
    assert refused.value.reason == "CALLER_PERMISSION_MISSING"


async def test_anothers_token_needs_the_permission_to_authenticate(service: Service) -> None:
    member = await service.person("member-without")
    authenticator = await service.person("authenticator", role="authenticator")
    created = await service.admin.create_key()

    with pytest.raises(RefusedError) as refused:
        await member.authenticate(created.token)
    assert refused.value.reason == "CALLER_PERMISSION_MISSING"
    assert (await authenticator.authenticate(created.token)).user.email == "admin@localhost"
