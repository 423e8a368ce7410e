"""`client.sessions`."""

from collections.abc import Collection
from datetime import UTC
from typing import Any

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.errors import TokenLost
from keywright.sdk.values.reading import read
from keywright.sdk.values.session_results import Session, SessionState, SignedIn, SignInLink
from keywright.sdk.values.writing import wait_mode
from keywright.v1 import session_pb2
from keywright.v1 import session_service_pb2 as pb

_SERVICE = "SessionService"
_CREATE_LINK = Method(_SERVICE, "CreateSignInLink", pb.CreateSignInLinkResponse)
_CREATE = Method(_SERVICE, "CreateSession", pb.CreateSessionResponse)
_GET = Method(_SERVICE, "GetSession", pb.GetSessionResponse)
_LIST = Method(_SERVICE, "ListSessions", pb.ListSessionsResponse)
_REVOKE = Method(_SERVICE, "RevokeSession", pb.RevokeSessionResponse)
_REVOKE_ALL = Method(_SERVICE, "RevokeSessions", pb.RevokeSessionsResponse)


class Sessions(NamedSurface[Mode]):
    """Signed-in people. A session is named by its id or its full name.

    Signing in needs no key: `Client(anonymous=True).sessions.sign_in_by_link(...)`; what it gives
    is the `api_key` of a client that acts as the person.
    """

    @operation
    def create_link(self, user: str, *, request_id: str = "") -> Flow[SignInLink]:
        """Make a link that signs a person in, once, within 5 minutes.

        Args:
            user: whom, by id, e-mail address or full name.
            request_id: marks the call, so that it can be repeated; one is made if not given.

        Raises:
            PermissionDenied: the user may do more than you.
            FailedPrecondition: the user is disabled, or no person.
            TokenLost: the link was made, but the reply was lost: make another one.
        """
        name = yield from self._names.user(user)
        request = pb.CreateSignInLinkRequest(user=name, request_id=request_id)
        reply = yield from call(_CREATE_LINK, request)
        token = _shown(reply.link_token, name)
        return SignInLink(token, reply.expire_time.ToDatetime(tzinfo=UTC))

    @operation
    def sign_in_by_link(
        self,
        link_token: str | Secret,
        *,
        client_address: str = "",
        user_agent: str = "",
        request_id: str = "",
    ) -> Flow[SignedIn]:
        """Sign in whom a link is for; that uses it up.

        Args:
            link_token: what the link carries.
            client_address: where the person is, for the record.
            user_agent: with which browser, for the record.
            request_id: marks the call, so that it can be repeated; one is made if not given.

        Raises:
            Unauthenticated: the link is unknown, used or too old; or the user is disabled.
            TokenLost: the session was made, but the reply was lost: sign in again.
        """
        request = pb.CreateSessionRequest(link_token=_text(link_token))
        return _sign_in(request, client_address, user_agent, request_id)

    @operation
    def sign_in_by_key(
        self,
        key_token: str | Secret,
        *,
        client_address: str = "",
        user_agent: str = "",
        request_id: str = "",
    ) -> Flow[SignedIn]:
        """Sign in the user of a key that takes nothing away, for as long as that is so.

        Args:
            key_token: the key's token.
            client_address: where the person is, for the record.
            user_agent: with which browser, for the record.
            request_id: marks the call, so that it can be repeated; one is made if not given.

        Raises:
            Unauthenticated: the key does not stand.
            PermissionDenied: the key is narrowed.
            TokenLost: the session was made, but the reply was lost: sign in again.
        """
        request = pb.CreateSessionRequest(key_token=_text(key_token))
        return _sign_in(request, client_address, user_agent, request_id)

    @operation
    def sign_in_by_id_token(
        self,
        id_token: str | Secret,
        *,
        nonce: str,
        client_address: str = "",
        user_agent: str = "",
        request_id: str = "",
    ) -> Flow[SignedIn]:
        """Sign in whom the server's OpenID Connect provider has seen.

        The client needs its `workspace`: a person may be in several.

        Args:
            id_token: as the provider gave it.
            nonce: what the sign-in was begun with.
            client_address: where the person is, for the record.
            user_agent: with which browser, for the record.
            request_id: marks the call, so that it can be repeated; one is made if not given.

        Raises:
            Unauthenticated: the token is no good, or nobody in the workspace has this identity.
            TokenLost: the session was made, but the reply was lost: sign in again.
        """
        workspace = yield from self._names.workspace()
        proof = pb.OpenIdConnectProof(workspace=workspace, id_token=_text(id_token), nonce=nonce)
        request = pb.CreateSessionRequest(openid_connect=proof)
        return (yield from _sign_in(request, client_address, user_agent, request_id))

    @operation
    def get(self, session: str) -> Flow[Session]:
        """Get a session."""
        request = pb.GetSessionRequest(name=(yield from self._names.session(session)))
        return read(Session, (yield from call(_GET, request)).session)

    @listing
    def list(
        self,
        *,
        user: str | None = None,
        states: Collection[SessionState] = (),
        page_size: int = 0,
    ) -> Flow[Listing[Session]]:
        """Iterate over sessions, newest first: one's own, and all for who manages users.

        Args:
            user: of this user, by id, e-mail address or full name.
            states: in one of these; only `ACTIVE` ones if not given.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        whose = "" if user is None else (yield from self._names.user(user))
        numbers = [session_pb2.SessionState.Value(f"SESSION_STATE_{each}") for each in states]
        parent = yield from self._names.workspace()
        request = pb.ListSessionsRequest(
            parent=parent,
            filter=session_pb2.SessionFilter(user=whose, states=numbers),
            page_size=page_size,
        )
        return Listing(
            _LIST, request, lambda reply: (read(Session, each) for each in reply.sessions)
        )

    @operation
    def revoke(self, session: str, *, wait: bool = True, request_id: str = "") -> Flow[Session]:
        """Revoke a session, for good: sign out.

        Args:
            session: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.session(session)
        request = pb.RevokeSessionRequest(
            name=name, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Session, (yield from call(_REVOKE, request)).session)

    @operation
    def revoke_all(
        self, user: str, *, keep_current: bool = False, wait: bool = True, request_id: str = ""
    ) -> Flow[int]:
        """Revoke every session of a user: sign out everywhere; returns how many these were.

        Args:
            user: whose, by id, e-mail address or full name.
            keep_current: leave the session that calls.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.user(user)
        parent = yield from self._names.workspace()
        request = pb.RevokeSessionsRequest(
            parent=parent,
            user=name,
            keep_current=keep_current,
            wait=wait_mode(wait=wait),
            request_id=request_id,
        )
        return (yield from call(_REVOKE_ALL, request)).count


def _sign_in(
    request: pb.CreateSessionRequest, client_address: str, user_agent: str, request_id: str
) -> Flow[SignedIn]:
    request.client_address, request.user_agent = client_address, user_agent
    request.request_id = request_id
    reply: Any = yield from call(_CREATE, request)
    token = _shown(reply.token, reply.session.name)
    return SignedIn(read(Session, reply.session), token, reply.revision)


def _text(token: str | Secret) -> str:
    return token.reveal() if isinstance(token, Secret) else token


def _shown(token: str, resource: str) -> Secret:
    if not token:  # an earlier call of this `request_id` was told it
        raise TokenLost(
            "it was made as asked for, but the reply that showed its token was lost, and no token "
            "is shown twice: begin anew",
            reason="TOKEN_LOST",
            metadata={"resource": resource},
        )
    return Secret(token)
