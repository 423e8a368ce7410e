"""The main job, end to end: a key is created, authenticated, revoked and denied."""

import grpc
import pytest

from tests.support.service import RefusedError, Service


async def test_a_key_authenticates_as_its_user_until_it_is_revoked(service: Service) -> None:
    ann = await service.admin.create_user("ann", role="collaborator")
    created = await service.admin.create_key(user="workspaces/default/users/ann@example.com")

    principal = await service.admin.authenticate(created.token)
    assert principal.user.name == ann.name
    assert principal.user.email == "ann@example.com"
    assert principal.role == "workspaces/default/roles/collaborator"
    assert list(principal.permissions) == [
        "datasets.read",
        "keys.own",
        "labels.*",
        "projects.read",
    ]

    await service.admin.revoke_key(created.key.name)
    with pytest.raises(RefusedError) as refused:
        await service.admin.authenticate(created.token)
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.value.reason == "KEY_REVOKED"
