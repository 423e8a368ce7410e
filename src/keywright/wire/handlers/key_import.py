"""KeyService: take over keys of other products."""

from keywright.domain.errors import ServiceError
from keywright.domain.imported import HashForm, TokenLookup
from keywright.domain.keys import KeyAt
from keywright.domain.names import WorkspaceName
from keywright.service.key_import import ImportFormat, ImportItem
from keywright.v1 import key_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.errors import denial
from keywright.wire.handlers.keys import spec
from keywright.wire.rpc import Rpc
from keywright.wire.rules import check_rules


async def import_keys(rpc: Rpc, request: pb.ImportKeysRequest) -> pb.ImportKeysResponse:
    """ImportKeys."""
    convert.refuse_unimplemented(request, "request_id")
    parent = WorkspaceName.parse(request.parent, "parent")
    items = [_item(each) for each in request.items]
    imported = await rpc.services.key_import(
        rpc.call, parent, _format(request.format), items, validate_only=request.validate_only
    )
    results = [_result(each) for each in imported.results]
    return pb.ImportKeysResponse(
        results=results,
        imported_count=sum(result.HasField("key") for result in results),
        revision=rpc.services.seal.revision(imported.position),
    )


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
