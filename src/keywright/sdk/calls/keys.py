"""`client.keys`."""

from typing import Unpack

from keywright.sdk.calls.key_import import KeyImport
from keywright.sdk.calls.key_tokens import KeyTokens
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.arguments import KeyChanges, KeyFilter
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import Key
from keywright.sdk.values.writing import change, wait_mode, write
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_SERVICE = "KeyService"
_GET = Method(_SERVICE, "GetKey", pb.GetKeyResponse)
_LOOKUP = Method(_SERVICE, "LookupKey", pb.LookupKeyResponse)
_LIST = Method(_SERVICE, "ListKeys", pb.ListKeysResponse)
_UPDATE = Method(_SERVICE, "UpdateKey", pb.UpdateKeyResponse)
_DISABLE = Method(_SERVICE, "DisableKey", pb.DisableKeyResponse)
_ENABLE = Method(_SERVICE, "EnableKey", pb.EnableKeyResponse)
_REVOKE = Method(_SERVICE, "RevokeKey", pb.RevokeKeyResponse)
_REVOKE_MANY = Method(_SERVICE, "RevokeKeys", pb.RevokeKeysResponse)
_DELETE = Method(_SERVICE, "DeleteKey", pb.DeleteKeyResponse)
_REPORT_LEAKED = Method(_SERVICE, "ReportLeakedToken", pb.ReportLeakedTokenResponse)


class Keys(KeyTokens[Mode], KeyImport[Mode]):
    """The API keys of a workspace. A key is named by its id or its full name."""

    @operation
    def get(self, key: str) -> Flow[Key]:
        """Get a key."""
        request = pb.GetKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_GET, request)).key)

    @operation
    def lookup(self, prefix: str) -> Flow[Key]:
        """Find a key by the prefix of its token, or of one that a rotation has replaced."""
        parent = yield from self._names.workspace()
        request = pb.LookupKeyRequest(parent=parent, prefix=prefix)
        return read(Key, (yield from call(_LOOKUP, request)).key)

    @listing
    def list(
        self, *, order_by: str = "", page_size: int = 0, **matching: Unpack[KeyFilter]
    ) -> Flow[Listing[Key]]:
        """Iterate over keys.

        Args:
            order_by: `create_time`, `display_name`, `expire_time`, `last_used_time` or
                `rotate_time`, with or without ` desc`; newest first if not given.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
            matching: `KeyFilter`; only `ACTIVE` keys if it gives no `states`.

        Raises:
            ValueError: a time has no zone.
        """
        match = write(key_pb2.KeyFilter, KeyFilter, (yield from self._names.full(matching)))
        parent = yield from self._names.workspace()
        request = pb.ListKeysRequest(
            parent=parent, filter=match, order_by=order_by, page_size=page_size
        )
        return Listing(_LIST, request, lambda reply: (read(Key, each) for each in reply.keys))

    @operation
    def update(
        self,
        key: str,
        *,
        etag: str = "",
        wait: bool = True,
        request_id: str = "",
        **changes: Unpack[KeyChanges],
    ) -> Flow[Key]:
        """Change a key: what is given, and nothing else.

        Args:
            key: which.
            etag: change it only if this is still its etag.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            changes: `KeyChanges`; `role=""`, `scopes=()` or `expire_time=None` takes it away.

        Raises:
            FailedPrecondition: the key is revoked.
            Aborted: it was changed since `etag`.
            ValueError: nothing is given, or a time has no zone.
        """
        if changes.get("role") == "":
            changes["role"] = None  # no role, and not the role with an empty id
        given = yield from self._names.full(changes)
        name = yield from self._names.key(key)
        changed, mask = change(key_pb2.Key, KeyChanges, given, name=name, etag=etag)
        request = pb.UpdateKeyRequest(
            key=changed, update_mask=mask, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Key, (yield from call(_UPDATE, request)).key)

    @operation
    def disable(self, key: str, *, wait: bool = True, request_id: str = "") -> Flow[Key]:
        """Disable a key: it does not stand until it is enabled again.

        Args:
            key: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.key(key)
        request = pb.DisableKeyRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(Key, (yield from call(_DISABLE, request)).key)

    @operation
    def enable(self, key: str, *, request_id: str = "") -> Flow[Key]:
        """Enable a key again, which takes all that the key may do.

        Args:
            key: which.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        request = pb.EnableKeyRequest(name=(yield from self._names.key(key)), request_id=request_id)
        return read(Key, (yield from call(_ENABLE, request)).key)

    @operation
    def revoke(self, key: str, *, wait: bool = True, request_id: str = "") -> Flow[Key]:
        """Revoke a key, for good: when this returns it is dead everywhere.

        Args:
            key: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.key(key)
        request = pb.RevokeKeyRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(Key, (yield from call(_REVOKE, request)).key)

    @operation
    def revoke_many(
        self,
        *,
        validate_only: bool = False,
        wait: bool = True,
        request_id: str = "",
        **matching: Unpack[KeyFilter],
    ) -> Flow[int]:
        """Revoke every key that matches, for good; returns how many those were.

        Args:
            validate_only: only count them.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            matching: `KeyFilter`, of which something must be given; in every state but `REVOKED`
                if it gives no `states`.

        Raises:
            ValueError: a filter is empty, and more keys would match than were meant; or a time has
                no zone.
        """
        for name, value in matching.items():
            if value is not None and not value:
                raise ValueError(f"{name} is empty")
        match = write(key_pb2.KeyFilter, KeyFilter, (yield from self._names.full(matching)))
        parent = yield from self._names.workspace()
        request = pb.RevokeKeysRequest(
            parent=parent,
            filter=match,
            validate_only=validate_only,
            wait=wait_mode(wait=wait),
            request_id=request_id,
        )
        return (yield from call(_REVOKE_MANY, request)).count

    @operation
    def delete(self, key: str, *, wait: bool = True, request_id: str = "") -> Flow[Key]:
        """Delete a key's record, and with it the key; returns it as it last was.

        Args:
            key: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.key(key)
        request = pb.DeleteKeyRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(Key, (yield from call(_DELETE, request)).key)

    @operation
    def report_leaked(self, token: str | Secret, *, source: str = "") -> Flow[None]:
        """End a token that was found where it should not be: its key is revoked.

        Whoever holds a token may do so, also with `Client(anonymous=True)`. Nothing tells whether
        there was such a token, but the audit trail, to the key's owner.

        Example: `client.keys.report_leaked(found, source="https://git.example/acme/app/.env#L3")`

        Args:
            token: what was found.
            source: where, for the owner of the key; at most 1,000 characters.
        """
        text = token.reveal() if isinstance(token, Secret) else token
        yield from call(_REPORT_LEAKED, pb.ReportLeakedTokenRequest(token=text, source=source))
