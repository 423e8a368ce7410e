"""The synchronous client."""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from keywright.sdk.access import AccessExplanation
from keywright.sdk.audit import Audit
from keywright.sdk.authentication import authenticate
from keywright.sdk.connection import TlsFiles, open_channel
from keywright.sdk.credentials import Secret, find_api_key, find_uri
from keywright.sdk.explanation import explain_access
from keywright.sdk.flow import Batches, Call, Flow, Listing, Surface, operation
from keywright.sdk.grants import Grants
from keywright.sdk.keys import Keys
from keywright.sdk.names import Names
from keywright.sdk.results import Principal
from keywright.sdk.roles import Roles
from keywright.sdk.status import from_call
from keywright.sdk.usage import Usage
from keywright.sdk.users import Users
from keywright.sdk.workspaces import Workspaces

Result = TypeVar("Result")


class Client(Surface):
    """A client of a keywright server; use it as a context manager, or call `close`.

    Every call has a deadline and raises `KeywrightError` (keywright.sdk.errors draws the tree).
    Threads may share a client. It connects with the first call.

    Args:
        uri: `127.0.0.1:7700`, `grpc://host:port`, `grpcs://host:port` (TLS) or `unix:/path`; else
            the environment's KEYWRIGHT_URI, else 127.0.0.1:7700.
        api_key: the token to call with; else the environment's KEYWRIGHT_API_KEY.
        anonymous: call without a key, and look for none; `keys.report_leaked` needs none.
        workspace: where ids and e-mail addresses are looked up and things are created; the
            caller's own if not given.
        ca_file: certificates, as PEM, that may have signed the server's; else gRPC's own list.
        certificate_file: this client's own, as PEM, for a server that asks for one (mTLS); with
        key_file: its private key.
        allow_plaintext: send the key without TLS beyond this machine.
        timeout: the deadline of each call.

    Raises:
        ConfigurationError: one of these is missing or wrong.
    """

    keys: Keys
    users: Users
    roles: Roles
    grants: Grants
    workspaces: Workspaces
    usage: Usage
    audit: Audit

    def __init__(
        self,
        uri: str | None = None,
        api_key: str | Secret | None = None,
        *,
        anonymous: bool = False,
        workspace: str | None = None,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        allow_plaintext: bool = False,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        uri = find_uri(uri, os.environ)
        self._api_key = Secret("") if anonymous else find_api_key(api_key, os.environ)
        tls_files = TlsFiles(ca_file, certificate_file, key_file)
        channel = open_channel(uri, tls_files=tls_files, allow_plaintext=allow_plaintext)
        self._channel = _Channel(channel, uri, self._api_key, timeout)
        super().__init__(self._channel)
        names = self._names = Names(self._api_key, workspace)
        self.keys = Keys(self._channel, names)
        self.users = Users(self._channel, names)
        self.roles = Roles(self._channel, names)
        self.grants = Grants(self._channel, names)
        self.workspaces = Workspaces(self._channel, names)
        self.usage = Usage(self._channel, names)
        self.audit = Audit(self._channel, names)

    @operation
    def authenticate(
        self,
        token: str | Secret,
        *,
        resource: str = "",
        required_permissions: Sequence[str] = (),
        required_environment: str = "",
        client_address: str = "",
    ) -> Flow[Principal]:
        """Who presents `token`, if it stands and everything asked for holds.

        Args:
            token: what the client presented.
            resource: what the client wants to act on, `projects/abc`; required for a key that is
                bound to a resource.
            required_permissions: all are needed; no patterns.
            required_environment: the environment that the key must be of.
            client_address: where the client is; required for a key that is bound to networks.

        Raises:
            Unauthenticated: the token does not stand; `reason` says why.
            PermissionDenied: it stands, but something asked for does not hold.
            KeywrightError: it was not decided: this client's own credential, if `about_caller`.
        """
        return authenticate(
            token.reveal() if isinstance(token, Secret) else token,
            resource=resource,
            required_permissions=required_permissions,
            required_environment=required_environment,
            client_address=client_address,
        )

    @operation
    def whoami(self) -> Flow[Principal]:
        """Who this client's own key proves; needs no permission."""
        return authenticate(self._api_key.reveal())

    @operation
    def explain_access(
        self,
        key: str = "",
        permission: str = "",
        *,
        user: str = "",
        resource: str = "",
        required_environment: str = "",
        client_address: str = "",
    ) -> Flow[AccessExplanation]:
        """Why a key, or a user with whatever key, may do something or not, rule by rule.

        It changes nothing and needs no token: it is about the key's newest one.

            why = client.explain_access("ci-deploy", "datasets.write", resource="projects/abc")
            why = client.explain_access(user="ann@acme.example", permission="datasets.write")
            if not why.allowed:
                print(why.denial.reason, why.deciding.message)

        Args:
            key: by id or full name; or else
            user: by id, e-mail address or full name.
            permission: what it is to do; no pattern. Empty: only whether it stands.
            resource: what it is to act on, as in `authenticate`.
            required_environment: as in `authenticate`; not for a user.
            client_address: as in `authenticate`; not for a user.

        Raises:
            NotFound: there is none, or not all that decides about it is yours to see.
            ValueError: neither a key nor a user was given, or both.
        """
        return explain_access(
            self._names,
            key,
            user,
            permission,
            resource=resource,
            required_environment=required_environment,
            client_address=client_address,
        )

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Channel:
    """Runs flows on a blocking channel."""

    def __init__(
        self, channel: grpc.Channel, uri: str, api_key: Secret, timeout: timedelta
    ) -> None:
        self._channel = channel
        self._uri = uri
        key = api_key.reveal()
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()
        self._timeout = timeout
        self.close = channel.close

    def run(self, flow: Flow[Result]) -> Result:
        try:
            call = next(flow)
            while True:
                call = flow.send(self._call(call))
        except StopIteration as returned:
            result: Result = returned.value
            return result

    def pages(self, flow: Flow[Listing[Result]]) -> Iterator[Result]:
        listing = self.run(flow)
        while True:
            reply = self._call(Call(listing.method, listing.request))
            yield from listing.items(reply)
            if not reply.next_page_token:
                return
            listing.request.page_token = reply.next_page_token

    def batches(self, flow: Flow[Batches[Result]]) -> Iterator[Result]:
        work = self.run(flow)
        for request in work.requests:
            yield from work.items(self._call(Call(work.method, request)))

    def _call(self, call: Call) -> Any:
        invoke = self._channel.unary_unary(
            call.method.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.method.reply.FromString,
        )
        try:
            return invoke(
                call.request, timeout=self._timeout.total_seconds(), metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise from_call(error, self._uri) from None
