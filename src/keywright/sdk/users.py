"""`client.users`."""

from collections.abc import Iterable, Mapping

from keywright.sdk.flow import Flow, Listing, Method, Surface, Transport, call, listing, operation
from keywright.sdk.names import Names
from keywright.sdk.results import User, UserKind, UserState, read
from keywright.v1 import user_pb2
from keywright.v1 import user_service_pb2 as pb

_SERVICE = "UserService"
_CREATE = Method(_SERVICE, "CreateUser", pb.CreateUserResponse)
_GET = Method(_SERVICE, "GetUser", pb.GetUserResponse)
_LIST = Method(_SERVICE, "ListUsers", pb.ListUsersResponse)
_DISABLE = Method(_SERVICE, "DisableUser", pb.DisableUserResponse)
_ENABLE = Method(_SERVICE, "EnableUser", pb.EnableUserResponse)


class Users(Surface):
    """The users of a workspace. A user is named by id, e-mail address or full name."""

    def __init__(self, transport: Transport, names: Names) -> None:
        super().__init__(transport)
        self._names = names

    @operation
    def create(
        self,
        email: str = "",
        *,
        role: str | None = None,
        kind: UserKind = UserKind.HUMAN,
        display_name: str = "",
        user_id: str = "",
        external_id: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Flow[User]:
        """Create a user.

        Args:
            email: unique in the workspace; only a service user needs none.
            role: `guest` if not given.
            kind: a person or a program.
            display_name: a name for people.
            user_id: the id, chosen by you; else one is given.
            external_id: the user's id in another system.
            labels: marks for your own use.
        """
        user = user_pb2.User(
            email=email,
            role="" if role is None else (yield from self._names.role(role)),
            kind=user_pb2.UserKind.Value(f"USER_KIND_{kind}"),
            display_name=display_name,
            external_id=external_id,
            labels=labels,
        )
        parent = yield from self._names.workspace()
        request = pb.CreateUserRequest(parent=parent, user=user, user_id=user_id)
        return read(User, (yield from call(_CREATE, request)).user)

    @operation
    def get(self, user: str) -> Flow[User]:
        """Get a user."""
        request = pb.GetUserRequest(name=(yield from self._names.user(user)))
        return read(User, (yield from call(_GET, request)).user)

    @listing
    def list(
        self,
        *,
        states: Iterable[UserState] = (),
        kinds: Iterable[UserKind] = (),
        role: str | None = None,
        labels: Mapping[str, str] | None = None,
        search: str = "",
        page_size: int = 0,
    ) -> Flow[Listing[User]]:
        """Iterate over the users that match all of what is given, newest first.

        Args:
            states: in one of these; in any if not given.
            kinds: of one of these; of any if not given.
            role: with this role.
            labels: with all of these.
            search: with this text in display name or e-mail address.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        match = user_pb2.UserFilter(
            states=[user_pb2.UserState.Value(f"USER_STATE_{state}") for state in states],
            kinds=[user_pb2.UserKind.Value(f"USER_KIND_{kind}") for kind in kinds],
            role="" if role is None else (yield from self._names.role(role)),
            labels=labels,
            search=search,
        )
        parent = yield from self._names.workspace()
        request = pb.ListUsersRequest(parent=parent, filter=match, page_size=page_size)
        return Listing(_LIST, request, lambda reply: (read(User, each) for each in reply.users))

    @operation
    def disable(self, user: str) -> Flow[User]:
        """Disable a user: none of their credentials stands until they are enabled again."""
        request = pb.DisableUserRequest(name=(yield from self._names.user(user)))
        return read(User, (yield from call(_DISABLE, request)).user)

    @operation
    def enable(self, user: str) -> Flow[User]:
        """Enable a user again; keys that were revoked stay so."""
        request = pb.EnableUserRequest(name=(yield from self._names.user(user)))
        return read(User, (yield from call(_ENABLE, request)).user)
