"""`client.users`."""

from collections.abc import Mapping
from typing import Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.argument_types import texts
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.arguments import UserChanges, UserFilter
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import User, UserKind
from keywright.sdk.values.writing import change, wait_mode, write
from keywright.v1 import user_pb2
from keywright.v1 import user_service_pb2 as pb

_SERVICE = "UserService"
_CREATE = Method(_SERVICE, "CreateUser", pb.CreateUserResponse)
_GET = Method(_SERVICE, "GetUser", pb.GetUserResponse)
_LIST = Method(_SERVICE, "ListUsers", pb.ListUsersResponse)
_UPDATE = Method(_SERVICE, "UpdateUser", pb.UpdateUserResponse)
_DISABLE = Method(_SERVICE, "DisableUser", pb.DisableUserResponse)
_ENABLE = Method(_SERVICE, "EnableUser", pb.EnableUserResponse)
_DELETE = Method(_SERVICE, "DeleteUser", pb.DeleteUserResponse)


class Users(NamedSurface[Mode]):
    """The users of a workspace. A user is named by id, e-mail address or full name."""

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
        resource: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Flow[User]:
        """Create a user.

        Args:
            email: unique in the workspace; only a service user needs none.
            role: `guest` if not given; none for a service user of a resource.
            kind: a person or a program.
            display_name: a name for people.
            user_id: the id, chosen by you; else one is given.
            external_id: the user's id in another system.
            resource: makes it a service user of this, whose only authority is grants on it.
            labels: marks for your own use.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        user = user_pb2.User(
            email=email,
            role="" if role is None else (yield from self._names.role(role)),
            kind=user_pb2.UserKind.Value(f"USER_KIND_{kind}"),
            display_name=display_name,
            external_id=external_id,
            resource=resource,
            labels=labels and texts("labels", labels),
        )
        parent = yield from self._names.workspace()
        request = pb.CreateUserRequest(
            parent=parent, user=user, user_id=user_id, request_id=request_id
        )
        return read(User, (yield from call(_CREATE, request)).user)

    @operation
    def get(self, user: str) -> Flow[User]:
        """Get a user."""
        request = pb.GetUserRequest(name=(yield from self._names.user(user)))
        return read(User, (yield from call(_GET, request)).user)

    @listing
    def list(self, *, page_size: int = 0, **matching: Unpack[UserFilter]) -> Flow[Listing[User]]:
        """Iterate over users, newest first.

        Args:
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
            matching: `UserFilter`.
        """
        match = write(user_pb2.UserFilter, UserFilter, (yield from self._names.full(matching)))
        parent = yield from self._names.workspace()
        request = pb.ListUsersRequest(parent=parent, filter=match, page_size=page_size)
        return Listing(_LIST, request, lambda reply: (read(User, each) for each in reply.users))

    @operation
    def update(
        self,
        user: str,
        *,
        etag: str = "",
        wait: bool = True,
        request_id: str = "",
        **changes: Unpack[UserChanges],
    ) -> Flow[User]:
        """Change a user: what is given, and nothing else. A lower role counts at once.

        Args:
            user: which.
            etag: change the user only if this is still the etag.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            changes: `UserChanges`.

        Raises:
            FailedPrecondition: it is the last admin's role.
            Aborted: the user was changed since `etag`.
            ValueError: nothing is given.
        """
        given = yield from self._names.full(changes)
        name = yield from self._names.user(user)
        changed, mask = change(user_pb2.User, UserChanges, given, name=name, etag=etag)
        request = pb.UpdateUserRequest(
            user=changed, update_mask=mask, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(User, (yield from call(_UPDATE, request)).user)

    @operation
    def disable(self, user: str, *, wait: bool = True, request_id: str = "") -> Flow[User]:
        """Disable a user: none of their credentials stands until they are enabled again.

        Args:
            user: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.user(user)
        request = pb.DisableUserRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(User, (yield from call(_DISABLE, request)).user)

    @operation
    def enable(self, user: str, *, request_id: str = "") -> Flow[User]:
        """Enable a user again; keys that were revoked stay so.

        Args:
            user: which.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        request = pb.EnableUserRequest(
            name=(yield from self._names.user(user)), request_id=request_id
        )
        return read(User, (yield from call(_ENABLE, request)).user)

    @operation
    def delete(
        self, user: str, *, force: bool = False, wait: bool = True, request_id: str = ""
    ) -> Flow[User]:
        """Delete a user with their grants, SSH keys and sessions; returns them as they last were.

        The records of their keys stay, revoked.

        Args:
            user: which.
            force: also a user who still has keys that are not revoked.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.user(user)
        request = pb.DeleteUserRequest(
            name=name, force=force, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(User, (yield from call(_DELETE, request)).user)
