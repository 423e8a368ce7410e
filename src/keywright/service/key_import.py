"""Keys of other products, taken over with the hashes that these stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from keywright.domain import permissions as p
from keywright.domain.errors import ServiceError, invalid_field
from keywright.domain.identity import mint_id
from keywright.domain.imported import HashForm, TokenLookup, TokenShape, check_shape
from keywright.domain.keys import KeyAt
from keywright.domain.names import WorkspaceName
from keywright.domain.token import Entropy, TokenFormat
from keywright.security import imported_hashes
from keywright.security.imported_hashes import HashFormError
from keywright.service.call import Call, ConfirmedCall
from keywright.service.import_transaction import CheckedItem, Import
from keywright.service.key_creation import check_form
from keywright.service.key_requests import KeySpec
from keywright.service.mutation import Committed, Mutated, creating
from keywright.service.pauses import with_pauses
from keywright.service.token_shapes import TokenShapes
from keywright.storage.database import Database, Writes


@dataclass(frozen=True, slots=True)
class ImportFormat:
    """What the tokens look like, as a caller says it."""

    pattern: str
    lookup: TokenLookup
    prefix_length: int
    hash_offset: int


@dataclass(frozen=True, slots=True)
class ImportItem:
    """A key to be taken over. `create_time` is when it was made in the other product."""

    spec: KeySpec
    hash: str
    hash_form: HashForm
    prefix: str
    create_time: datetime | None


# What became of each item, in order: the key, or why there is none.
Results = Sequence[KeyAt | ServiceError]


class _DryRun(Exception):
    """Undoes a transaction that was only to show what it would do."""

    def __init__(self, shown: Committed[Results]) -> None:
        super().__init__()
        self.shown = shown


@dataclass(frozen=True, slots=True)
class KeyImport:
    """Takes keys over."""

    database: Database
    shapes: TokenShapes
    token_format: TokenFormat
    entropy: Entropy

    async def __call__(
        self,
        call: Call,
        parent: WorkspaceName,
        wanted: ImportFormat,
        items: Sequence[ImportItem | ServiceError],
        *,
        validate_only: bool,
    ) -> Committed[Results]:
        """Import what can be, in one transaction; an item that fails leaves the others alone.

        An item may be one that has failed already. With `validate_only` all is done, and undone.
        """
        call.in_workspace(parent.workspace, parent)
        call.require(p.KEYS_ANY)
        shape = check_shape(
            wanted.pattern,
            wanted.lookup,
            wanted.prefix_length,
            wanted.hash_offset,
            self.token_format,
        )
        checked = [self._checked(shape, item) async for item in with_pauses(items)]

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[Results]:
            confirmed.require(p.KEYS_ANY)
            results = await Import(writes, confirmed, shape).run(checked)
            if validate_only:
                raise _DryRun(Committed(results, confirmed.position))
            return Mutated(results, confirmed.position)

        try:
            return await creating(self.database, call, transaction)
        except _DryRun as dry:
            return dry.shown
        finally:
            self.shapes.forget()

    def _checked(
        self, shape: TokenShape, item: ImportItem | ServiceError
    ) -> CheckedItem | ServiceError:
        """What needs no database to be told wrong."""
        if isinstance(item, ServiceError):
            return item
        try:
            check_form(item.spec)
            hashed = _read_hash(shape, item)
            _check_prefix(shape, item.prefix)
        except ServiceError as error:
            return error
        by_digest = shape.lookup is TokenLookup.DIGEST
        return CheckedItem(
            spec=replace(item.spec, key_id=item.spec.key_id or mint_id(self.entropy)),
            hashed=hashed,
            prefix=item.prefix,
            digest=imported_hashes.digest_of(hashed) if by_digest else None,
            create_time=item.create_time,
        )


def _read_hash(shape: TokenShape, item: ImportItem) -> str:
    try:
        hashed = imported_hashes.read_hash(item.hash_form, item.hash)
    except HashFormError as error:
        raise invalid_field("hash", str(error)) from None
    if shape.lookup is TokenLookup.DIGEST and imported_hashes.digest_of(hashed) is None:
        raise invalid_field(
            "hash_form", "must be a digest where tokens are found by it: SHA-256 or SHA-512"
        )
    most = imported_hashes.max_secret_bytes(hashed)
    if most is not None and shape.max_secret_length > most:
        raise invalid_field(
            "hash",
            f"bcrypt reads {most} bytes, and of tokens of this format up to "
            f"{shape.max_secret_length} are hashed: it would take two that begin alike for one",
        )
    return hashed


def _check_prefix(shape: TokenShape, prefix: str) -> None:
    if len(prefix) != shape.prefix_length:
        raise invalid_field(
            "prefix",
            f"must have {shape.prefix_length} characters, as format.prefix_length says"
            if shape.prefix_length
            else "must be empty where tokens are found by their digest",
        )
    if not shape.pattern.may_begin_with(prefix):
        raise invalid_field("prefix", "begins no token that matches format.pattern")
