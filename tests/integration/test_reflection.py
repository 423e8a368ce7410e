"""gRPC reflection: a client that has no generated code, such as grpcurl, can use the service."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from keywright.wire.contract import services
from tests.support.database import Cluster
from tests.support.service import Service, serve


def _whoami(target: str, token: str) -> tuple[set[str], Any]:
    """As grpcurl does it: list, describe, call; nothing of ours is imported."""
    with grpc.insecure_channel(target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        listed = set(database.get_services())
        pool = DescriptorPool(database)
        method = pool.FindServiceByName("keywright.v1.AuthService").FindMethodByName("Authenticate")
        request = GetMessageClass(method.input_type)(token=token)
        call = channel.unary_unary(
            "/keywright.v1.AuthService/Authenticate",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),)
        return listed, call(request, metadata=metadata, timeout=20)


async def test_a_client_without_generated_code_lists_the_services_and_calls_one(
    service: Service,
) -> None:
    listed, reply = await asyncio.to_thread(_whoami, service.uri, service.admin_token)
    assert listed == {each.full_name for each in services()} | {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert reply.user.email == "admin@localhost"
    assert list(reply.permissions) == ["*"]


async def test_every_service_can_be_described_with_all_that_it_refers_to(service: Service) -> None:
    def describe() -> list[str]:
        with grpc.insecure_channel(service.uri) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            return [
                method.output_type.full_name
                for name in (each.full_name for each in services())
                for method in pool.FindServiceByName(name).methods
            ]

    described = await asyncio.to_thread(describe)
    assert len(described) == sum(len(each.methods) for each in services())


async def test_without_the_setting_there_is_no_reflection(cluster: Cluster) -> None:
    async with serve(await cluster.migrated(), reflection="false") as process:
        target = (await process.logged("listening"))["listen"]
        async with grpc.aio.insecure_channel(target) as channel:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async for _ in stub.ServerReflectionInfo(iter([request])):
                    pass
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
