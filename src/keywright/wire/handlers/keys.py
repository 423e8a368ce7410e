"""KeyService: create keys, and see them."""

from keywright.domain.errors import invalid_field
from keywright.domain.keys import KeyOrder, RateLimit
from keywright.domain.names import KeyName, WorkspaceName
from keywright.domain.token import is_prefix
from keywright.service.key_creation import ShownKey
from keywright.service.key_requests import KeyQuery, KeySpec, Sorting
from keywright.v1 import key_service_pb2 as pb
from keywright.v1.key_pb2 import Key, KeyFilter
from keywright.wire import convert, replies
from keywright.wire.mutations import mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_key(rpc: Rpc, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    """CreateKey."""
    parent = WorkspaceName.parse(request.parent, "parent")
    asked = _new(request)
    return await mutate(
        rpc,
        request,
        pb.CreateKeyResponse,
        lambda call: rpc.services.key_creation.create(call, parent, asked),
        shown,
    )


async def ensure_key(rpc: Rpc, request: pb.EnsureKeyRequest) -> pb.EnsureKeyResponse:
    """EnsureKey."""
    parent = WorkspaceName.parse(request.parent, "parent")
    asked = _new(request)
    return await mutate(
        rpc,
        request,
        pb.EnsureKeyResponse,
        lambda call: rpc.services.key_creation.ensure(call, parent, asked),
        lambda ensured: {**shown(ensured), "created": ensured.token is not None},
    )


async def get_key(rpc: Rpc, request: pb.GetKeyRequest) -> pb.GetKeyResponse:
    """GetKey."""
    name = KeyName.parse(request.name, "name")
    return pb.GetKeyResponse(key=replies.key(await rpc.services.keys.get(rpc.call, name)))


async def lookup_key(rpc: Rpc, request: pb.LookupKeyRequest) -> pb.LookupKeyResponse:
    """LookupKey."""
    parent = WorkspaceName.parse(request.parent, "parent")
    if not is_prefix(request.prefix):  # it may be a whole token: say nothing of what it is
        raise invalid_field(
            "prefix", "must be the 12 letters and digits after kw_live_, not a token"
        )
    found = await rpc.services.keys.look_up(rpc.call, parent, request.prefix)
    return pb.LookupKeyResponse(key=replies.key(found))


async def list_keys(rpc: Rpc, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    """ListKeys."""
    parent, keys = WorkspaceName.parse(request.parent, "parent"), rpc.services.keys
    only, sorting = query(request.filter), _sorting(request.order_by)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: keys.list(
            rpc.call, parent, only, sorting, after=after, limit=limit
        ),
        convert=replies.key,
    )
    total = await keys.count(rpc.call, parent, only) if request.include_total_size else 0
    return pb.ListKeysResponse(
        keys=found.entries, next_page_token=found.next_page_token, total_size=total
    )


def shown(made: ShownKey) -> dict[str, Key | str]:
    """What is told of a key with its token."""
    return {"key": replies.key(made.key), "token": replies.token(made.token)}


def _new(request: pb.CreateKeyRequest | pb.EnsureKeyRequest) -> KeySpec:
    return spec(
        request.key,
        key_id=request.key_id,
        ttl=convert.lifetime(request, "ttl", "ttl"),
        never_expires=request.never_expires,
    )


def spec(key: Key, **more: object) -> KeySpec:
    """What is asked of a key, new or changed; `more` are attributes of the request itself.

    Raises:
        ServiceError: FIELD_UNIMPLEMENTED: it has a field of a newer client, which may narrow it.
    """
    convert.refuse_unknown(key, "key")
    rate_limit = None
    if key.HasField("rate_limit"):
        period = convert.lifetime(key.rate_limit, "period", "key.rate_limit.period")
        rate_limit = RateLimit(key.rate_limit.requests, period) if period else None
    return KeySpec(
        user=convert.user_name(key.user, "key.user"),
        display_name=key.display_name,
        role=convert.role_name(key.role, "key.role"),
        scopes=tuple(key.scopes),
        resource=key.resource,
        environment=key.environment,
        allowed_networks=convert.networks(key.allowed_networks),
        rate_limit=rate_limit,
        labels=dict(key.labels),
        expire_time=convert.moment(key, "expire_time", "key.expire_time"),
        **more,  # type: ignore[arg-type]
    )


def query(asked: KeyFilter) -> KeyQuery:
    """Which keys are meant. A field that this server does not know would mean fewer than it sees.

    Raises:
        ServiceError: FIELD_UNIMPLEMENTED: there is one, of a newer client.
    """
    convert.refuse_unknown(asked, "filter")
    return KeyQuery(
        states=convert.key_states(asked.states),
        user=convert.user_name(asked.user, "filter.user"),
        creator=convert.user_name(asked.creator, "filter.creator"),
        resource=asked.resource,
        role=convert.role_name(asked.role, "filter.role"),
        environment=asked.environment,
        labels=convert.labels(asked.labels),
        expires_before=convert.moment(asked, "expires_before", "filter.expires_before"),
        unused_since=convert.moment(asked, "unused_since", "filter.unused_since"),
        unrotated_since=convert.moment(asked, "unrotated_since", "filter.unrotated_since"),
        search=asked.search,
    )


def _sorting(order_by: str) -> Sorting:
    """`create_time desc` if empty; the contract's rule has seen to the form."""
    if not order_by:
        return Sorting()
    field, _, direction = order_by.partition(" ")
    return Sorting(KeyOrder(field), descending=direction == "desc")


HANDLERS = {
    "CreateKey": create_key,
    "EnsureKey": ensure_key,
    "GetKey": get_key,
    "LookupKey": lookup_key,
    "ListKeys": list_keys,
}
