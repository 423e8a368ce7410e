"""SessionService."""

from google.protobuf.message import Message

from keywright.domain.names import SessionName, UserName, WorkspaceName
from keywright.domain.sessions import SessionAt
from keywright.service.mutation import Committed
from keywright.service.opening import Entry, ShownSession
from keywright.service.sign_in import ShownLink
from keywright.v1 import session_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.mutations import Repeatable, mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_sign_in_link(
    rpc: Rpc, request: pb.CreateSignInLinkRequest
) -> pb.CreateSignInLinkResponse:
    """CreateSignInLink."""
    name = UserName.parse(request.user, "user")
    return await mutate(
        rpc,
        request,
        pb.CreateSignInLinkResponse,
        lambda call: rpc.services.sign_in.create_link(call, name),
        _told_of_link,
    )


async def create_session(rpc: Rpc, request: pb.CreateSessionRequest) -> pb.CreateSessionResponse:
    """CreateSession."""
    made = Repeatable(pb.CreateSessionResponse, _told_of_sign_in)
    entry = Entry(
        call_id=rpc.call_id,
        peer=rpc.peer,
        remaining=rpc.remaining,
        request=made.request(rpc.method.name, request),
        client_address=convert.address(request.client_address, "client_address"),
        user_agent=request.user_agent,
    )
    return made.reply(rpc, await made.done(_signed_in(rpc, request, entry)))


async def _signed_in(
    rpc: Rpc, request: pb.CreateSessionRequest, entry: Entry
) -> Committed[ShownSession]:
    sign_in = rpc.services.sign_in
    match request.WhichOneof("proof"):
        case "link_token":
            return await sign_in.by_link(entry, request.link_token)
        case "key_token":
            return await sign_in.by_key(entry, request.key_token)
        case _:
            proof = request.openid_connect
            workspace = WorkspaceName.parse(proof.workspace, "openid_connect.workspace")
            return await sign_in.by_id_token(entry, workspace, proof.id_token, proof.nonce)


async def get_session(rpc: Rpc, request: pb.GetSessionRequest) -> pb.GetSessionResponse:
    """GetSession."""
    name = SessionName.parse(request.name, "name")
    found = await rpc.services.sessions.get(rpc.call, name)
    return pb.GetSessionResponse(session=replies.session(found))


async def list_sessions(rpc: Rpc, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
    """ListSessions."""
    parent = WorkspaceName.parse(request.parent, "parent")
    user = convert.user_name(request.filter.user, "filter.user")
    states = convert.session_states(request.filter.states)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.sessions.list(
            rpc.call, parent, user, states, after=after, limit=limit
        ),
        convert=replies.session,
    )
    return pb.ListSessionsResponse(sessions=found.entries, next_page_token=found.next_page_token)


async def revoke_session(rpc: Rpc, request: pb.RevokeSessionRequest) -> pb.RevokeSessionResponse:
    """RevokeSession."""
    name = SessionName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.RevokeSessionResponse,
        lambda call: rpc.services.sessions.revoke(call, name),
        _told,
    )


async def revoke_sessions(rpc: Rpc, request: pb.RevokeSessionsRequest) -> pb.RevokeSessionsResponse:
    """RevokeSessions."""
    parent = WorkspaceName.parse(request.parent, "parent")
    user = UserName.parse(request.user, "user")
    return await mutate(
        rpc,
        request,
        pb.RevokeSessionsResponse,
        lambda call: rpc.services.sessions.revoke_all(
            call, parent, user, keep_current=request.keep_current
        ),
        lambda count: {"count": count},
    )


def _told(found: SessionAt) -> dict[str, Message]:
    return {"session": replies.session(found)}


def _told_of_link(link: ShownLink) -> dict[str, object]:
    return {"link_token": link.token.reveal(), "expire_time": replies.timestamp(link.expire_time)}


def _told_of_sign_in(shown: ShownSession) -> dict[str, object]:
    return {"session": replies.session(shown.session), "token": replies.token(shown.token)}


HANDLERS = {
    "CreateSignInLink": create_sign_in_link,
    "CreateSession": create_session,
    "GetSession": get_session,
    "ListSessions": list_sessions,
    "RevokeSession": revoke_session,
    "RevokeSessions": revoke_sessions,
}
