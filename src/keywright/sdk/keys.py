"""`client.keys`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk.credentials import Secret
from keywright.sdk.flow import Flow, Listing, Method, Surface, Transport, call, listing, operation
from keywright.sdk.names import Names
from keywright.sdk.results import CreatedKey, Key, KeyState, read
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_SERVICE = "KeyService"
_CREATE = Method(_SERVICE, "CreateKey", pb.CreateKeyResponse)
_GET = Method(_SERVICE, "GetKey", pb.GetKeyResponse)
_LIST = Method(_SERVICE, "ListKeys", pb.ListKeysResponse)
_REVOKE = Method(_SERVICE, "RevokeKey", pb.RevokeKeyResponse)
_DELETE = Method(_SERVICE, "DeleteKey", pb.DeleteKeyResponse)


class Keys(Surface):
    """The API keys of a workspace. A key is named by its id or its full name."""

    def __init__(self, transport: Transport, names: Names) -> None:
        super().__init__(transport)
        self._names = names

    @operation
    def create(
        self,
        *,
        display_name: str = "",
        user: str | None = None,
        key_id: str = "",
        role: str | None = None,
        scopes: Sequence[str] = (),
        resource: str = "",
        environment: str = "",
        allowed_networks: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
    ) -> Flow[CreatedKey]:
        """Create a key and get its token, which is shown this once.

        Args:
            display_name: a name for people.
            user: whose key, by id, e-mail address or full name; the caller's own if not given.
            key_id: the id, chosen by you; else one is given.
            role: narrows the key to what this role may do.
            scopes: narrow it to permissions that match one of these, `datasets.read`, `labels.*`.
            resource: binds it to this and everything below, `projects/abc`.
            environment: the workspace's first if not given.
            allowed_networks: where it may be used from, `192.0.2.0/24`.
            labels: marks for your own use.
            ttl: how long it lives; or
            expire_time: until when. With neither the workspace's policy decides.

        Raises:
            ValueError: `expire_time` has no time zone.
        """
        key = key_pb2.Key(
            display_name=display_name,
            user="" if user is None else (yield from self._names.user(user)),
            role="" if role is None else (yield from self._names.role(role)),
            scopes=scopes,
            resource=resource,
            environment=environment,
            allowed_networks=allowed_networks,
            labels=labels,
            expire_time=_timestamp(expire_time),
        )
        parent = yield from self._names.workspace()
        request = pb.CreateKeyRequest(parent=parent, key=key, key_id=key_id, ttl=_duration(ttl))
        reply = yield from call(_CREATE, request)
        return CreatedKey(read(Key, reply.key), Secret(reply.token), reply.revision)

    @operation
    def get(self, key: str) -> Flow[Key]:
        """Get a key."""
        request = pb.GetKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_GET, request)).key)

    @listing
    def list(
        self,
        *,
        user: str | None = None,
        states: Iterable[KeyState] = (),
        role: str | None = None,
        resource: str = "",
        environment: str = "",
        labels: Mapping[str, str] | None = None,
        search: str = "",
        page_size: int = 0,
    ) -> Flow[Listing[Key]]:
        """Iterate over the keys that match all of what is given, newest first.

        Args:
            user: of this user, by id, e-mail address or full name.
            states: in one of these; only `ACTIVE` ones if not given.
            role: narrowed to this role.
            resource: bound to exactly this.
            environment: of this environment.
            labels: with all of these.
            search: with this text in display name, prefix or the user's e-mail address.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        match = key_pb2.KeyFilter(
            states=[key_pb2.KeyState.Value(f"KEY_STATE_{state}") for state in states],
            user="" if user is None else (yield from self._names.user(user)),
            role="" if role is None else (yield from self._names.role(role)),
            resource=resource,
            environment=environment,
            labels=labels,
            search=search,
        )
        parent = yield from self._names.workspace()
        request = pb.ListKeysRequest(parent=parent, filter=match, page_size=page_size)
        return Listing(_LIST, request, lambda reply: (read(Key, each) for each in reply.keys))

    @operation
    def revoke(self, key: str) -> Flow[Key]:
        """Revoke a key, for good: when this returns it is dead everywhere."""
        request = pb.RevokeKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_REVOKE, request)).key)

    @operation
    def delete(self, key: str) -> Flow[Key]:
        """Delete a key's record, and with it the key; returns it as it last was."""
        request = pb.DeleteKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_DELETE, request)).key)


def _timestamp(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    if value.tzinfo is None:  # protobuf would take it for UTC without a word
        raise ValueError("expire_time needs a time zone")
    message = Timestamp()
    message.FromDatetime(value)
    return message


def _duration(value: timedelta | None) -> Duration | None:
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message
