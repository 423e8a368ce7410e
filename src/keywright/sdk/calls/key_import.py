"""`client.keys.import_keys`: keys of other products, taken over by their hashes."""

from collections.abc import Iterable
from dataclasses import asdict, replace

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.flow import Batches, Flow, Method, Mode, batches
from keywright.sdk.values.arguments import ImportedKeyAttributes, ImportedTokenFormat, ImportItem
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import ImportResult
from keywright.sdk.values.writing import write
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_IMPORT = Method("KeyService", "ImportKeys", pb.ImportKeysResponse)
_IMPORT_BATCH = 1_000


class KeyImport(NamedSurface[Mode]):
    """Keys of other products."""

    @batches
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
