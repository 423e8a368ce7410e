"""`client.keys`."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TypeVar, Unpack

from keywright.sdk.arguments import (
    ImportedKeyAttributes,
    ImportedTokenFormat,
    ImportItem,
    KeyAttributes,
    KeyChanges,
    KeyFilter,
)
from keywright.sdk.credentials import Secret
from keywright.sdk.flow import Batches, Flow, Listing, Method, batched, call, listing, operation
from keywright.sdk.names import NamedSurface
from keywright.sdk.reading import read
from keywright.sdk.results import CreatedKey, EnsuredKey, ImportResult, Key, RotatedKey
from keywright.sdk.writing import change, duration, write
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_SERVICE = "KeyService"
_CREATE = Method(_SERVICE, "CreateKey", pb.CreateKeyResponse)
_ENSURE = Method(_SERVICE, "EnsureKey", pb.EnsureKeyResponse)
_GET = Method(_SERVICE, "GetKey", pb.GetKeyResponse)
_LOOKUP = Method(_SERVICE, "LookupKey", pb.LookupKeyResponse)
_LIST = Method(_SERVICE, "ListKeys", pb.ListKeysResponse)
_UPDATE = Method(_SERVICE, "UpdateKey", pb.UpdateKeyResponse)
_ROTATE = Method(_SERVICE, "RotateKey", pb.RotateKeyResponse)
_DISABLE = Method(_SERVICE, "DisableKey", pb.DisableKeyResponse)
_ENABLE = Method(_SERVICE, "EnableKey", pb.EnableKeyResponse)
_REVOKE = Method(_SERVICE, "RevokeKey", pb.RevokeKeyResponse)
_REVOKE_MANY = Method(_SERVICE, "RevokeKeys", pb.RevokeKeysResponse)
_DELETE = Method(_SERVICE, "DeleteKey", pb.DeleteKeyResponse)
_REPORT_LEAKED = Method(_SERVICE, "ReportLeakedToken", pb.ReportLeakedTokenResponse)
_IMPORT = Method(_SERVICE, "ImportKeys", pb.ImportKeysResponse)
_IMPORT_BATCH = 1_000

Creation = TypeVar("Creation", pb.CreateKeyRequest, pb.EnsureKeyRequest)


class Keys(NamedSurface):
    """The API keys of a workspace. A key is named by its id or its full name."""

    @operation
    def create(self, *, key_id: str = "", **attributes: Unpack[KeyAttributes]) -> Flow[CreatedKey]:
        """Create a key and get its token, which is shown this once.

        Args:
            key_id: the id, chosen by you; else one is given.
            attributes: `KeyAttributes`.

        Raises:
            ValueError: `expire_time` has no time zone.
        """
        request = yield from self._creation(pb.CreateKeyRequest, key_id, attributes)
        reply = yield from call(_CREATE, request)
        return CreatedKey(read(Key, reply.key), Secret(reply.token), reply.revision)

    @operation
    def ensure(self, key_id: str, **attributes: Unpack[KeyAttributes]) -> Flow[EnsuredKey]:
        """Create a key unless there is one of this id, as a program may each time it is set up.

        Args:
            key_id: the id.
            attributes: `KeyAttributes`. An existing key must have the same, but for its expiry.

        Raises:
            AlreadyExists: the key has other attributes, or is revoked or expired.
            ValueError: `expire_time` has no time zone.
        """
        request = yield from self._creation(pb.EnsureKeyRequest, key_id, attributes)
        reply = yield from call(_ENSURE, request)
        token = Secret(reply.token) if reply.token else None
        return EnsuredKey(read(Key, reply.key), token, reply.created, reply.revision)

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
    def update(self, key: str, *, etag: str = "", **changes: Unpack[KeyChanges]) -> Flow[Key]:
        """Change a key: what is given, and nothing else.

        Args:
            key: which.
            etag: change it only if this is still its etag.
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
        request = pb.UpdateKeyRequest(key=changed, update_mask=mask)
        return read(Key, (yield from call(_UPDATE, request)).key)

    @operation
    def rotate(
        self, key: str, *, grace: timedelta | None = None, etag: str = ""
    ) -> Flow[RotatedKey]:
        """Give a key a new token, which is shown this once.

        Args:
            key: which.
            grace: for how long the old token stands beside the new one, at most 7 days; it dies at
                once if not given.
            etag: rotate it only if this is still its etag.
        """
        name = yield from self._names.key(key)
        request = pb.RotateKeyRequest(name=name, grace=duration(grace), etag=etag)
        reply = yield from call(_ROTATE, request)
        return RotatedKey(read(Key, reply.key), Secret(reply.token), reply.revision)

    @operation
    def disable(self, key: str) -> Flow[Key]:
        """Disable a key: it does not stand until it is enabled again."""
        request = pb.DisableKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_DISABLE, request)).key)

    @operation
    def enable(self, key: str) -> Flow[Key]:
        """Enable a key again, which takes all that the key may do."""
        request = pb.EnableKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_ENABLE, request)).key)

    @operation
    def revoke(self, key: str) -> Flow[Key]:
        """Revoke a key, for good: when this returns it is dead everywhere."""
        request = pb.RevokeKeyRequest(name=(yield from self._names.key(key)))
        return read(Key, (yield from call(_REVOKE, request)).key)

    @operation
    def revoke_many(
        self, *, validate_only: bool = False, **matching: Unpack[KeyFilter]
    ) -> Flow[int]:
        """Revoke every key that matches, for good; returns how many those were.

        Args:
            validate_only: only count them.
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
        request = pb.RevokeKeysRequest(parent=parent, filter=match, validate_only=validate_only)
        return (yield from call(_REVOKE_MANY, request)).count

    @operation
    def delete(self, key: str) -> Flow[Key]:
        """Delete a key's record, and with it the key; returns it as it last was."""
        request = pb.DeleteKeyRequest(name=(yield from self._names.key(key)))
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

    @batched
    def import_keys(
        self,
        token_format: ImportedTokenFormat,
        items: Iterable[ImportItem],
        *,
        validate_only: bool = False,
    ) -> Flow[Batches[ImportResult]]:
        """Take keys over from another product, by the hashes that it stored.

        Their tokens go on working. Give any number: a result comes for each, in the same order. An
        item that fails leaves the others alone, and one that was imported before is
        `RESOURCE_ALREADY_EXISTS`, so that all may be given again.

        Iterate over the results: 1,000 items are sent whenever the next result needs it.

        Example:
            >>> dashed = ImportedTokenFormat("sk_[A-Za-z0-9]{32}", TokenLookup.DIGEST)
            >>> items = [ImportItem(hash, HashForm.SHA256_HEX, key={"user": "ci"})]
            >>> for result in client.keys.import_keys(dashed, items):
            ...     print(result.key or result.error)

        Args:
            token_format: what the tokens look like.
            items: the keys.
            validate_only: only check, and change nothing.

        Raises:
            InvalidArgument: `token_format` cannot be used.
            ValueError: a time has no zone; nothing is sent then.
        """
        parent = yield from self._names.workspace()
        wanted = write(pb.ImportedTokenFormat, ImportedTokenFormat, asdict(token_format))
        written = []
        for item in items:
            message = yield from self._import_item(item)
            written.append(message)
        requests = [
            pb.ImportKeysRequest(
                parent=parent,
                format=wanted,
                items=written[first : first + _IMPORT_BATCH],
                validate_only=validate_only,
            )
            for first in range(0, len(written), _IMPORT_BATCH)
        ]
        return Batches(
            _IMPORT, requests, lambda reply: (read(ImportResult, each) for each in reply.results)
        )

    def _import_item(self, item: ImportItem) -> Flow[pb.ImportItem]:
        key = write(key_pb2.Key, ImportedKeyAttributes, (yield from self._names.full(item.key)))
        given = asdict(replace(item, key={}))
        written = write(pb.ImportItem, ImportItem, given)
        written.key.CopyFrom(key)
        return written

    def _creation(
        self, kind: type[Creation], key_id: str, attributes: KeyAttributes
    ) -> Flow[Creation]:
        ttl = attributes.pop("ttl", None)
        never_expires = attributes.pop("never_expires", False)
        key = write(key_pb2.Key, KeyAttributes, (yield from self._names.full(attributes)))
        return kind(
            parent=(yield from self._names.workspace()),
            key=key,
            key_id=key_id,
            ttl=duration(ttl),
            never_expires=never_expires,
        )
