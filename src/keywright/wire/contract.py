"""The contract, from its descriptors."""

import pkgutil
from importlib import import_module

from google.protobuf.descriptor import ServiceDescriptor

from keywright import v1


def services() -> list[ServiceDescriptor]:
    """The services of `keywright.v1`."""
    return [
        service
        for module in pkgutil.iter_modules(v1.__path__)
        if module.name.endswith("_service_pb2")
        for service in import_module(
            f"{v1.__name__}.{module.name}"
        ).DESCRIPTOR.services_by_name.values()
    ]
