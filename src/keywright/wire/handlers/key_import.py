"""KeyService: take over keys of other products."""

from typing import Any

from keywright.domain.errors import ServiceError
from keywright.domain.imported import HashForm, TokenLookup
from keywright.domain.keys import KeyAt
from keywright.domain.names import WorkspaceName
from keywright.service.key_import import ImportFormat, ImportItem, Results
from keywright.service.pauses import with_pauses
from keywright.v1 import key_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.errors import denial
from keywright.wire.handlers.keys import spec
from keywright.wire.mutations import mutate
from keywright.wire.rpc import Rpc
from keywright.wire.rules import check_rules


async def import_keys(rpc: Rpc, request: pb.ImportKeysRequest) -> pb.ImportKeysResponse:
    """ImportKeys."""
    parent = WorkspaceName.parse(request.parent, "parent")
    items = [_item(each) async for each in with_pauses(request.items)]
    wanted = _format(request.format)
    return await mutate(
        rpc,
        request,
        pb.ImportKeysResponse,
        lambda call: rpc.services.key_import(
            call, parent, wanted, items, validate_only=request.validate_only
        ),
        _told,
    )


def _told(results: Results) -> dict[str, Any]:
    count = sum(not isinstance(each, ServiceError) for each in results)
    return {"results": map(_result, results), "imported_count": count}


def _format(asked: pb.ImportedTokenFormat) -> ImportFormat:
    convert.refuse_unknown(asked, "format")
    return ImportFormat(
        asked.pattern,
        TokenLookup(pb.TokenLookup.Name(asked.lookup).removeprefix("TOKEN_LOOKUP_")),
        asked.prefix_length,
        asked.hash_offset,
    )


def _item(asked: pb.ImportItem) -> ImportItem | ServiceError:
    """An item, or what is wrong with it."""
    try:
        check_rules(asked)
        convert.refuse_unknown(asked, "item")
        return ImportItem(
            spec=spec(asked.key, key_id=asked.key_id),
            hash=asked.hash,
            hash_form=HashForm(pb.HashForm.Name(asked.hash_form).removeprefix("HASH_FORM_")),
            prefix=asked.prefix,
            create_time=convert.moment(asked, "original_create_time", "original_create_time"),
        )
    except ServiceError as error:
        return error


def _result(outcome: KeyAt | ServiceError) -> pb.ImportResult:
    if isinstance(outcome, ServiceError):
        return pb.ImportResult(error=denial(outcome))
    return pb.ImportResult(key=replies.key(outcome))


HANDLERS = {"ImportKeys": import_keys}
