"""What `Client` and `AsyncClient` have in common: all but whether they block or await."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Protocol, Self

from keywright.sdk.calls.audit import Audit
from keywright.sdk.calls.authentication import authenticate
from keywright.sdk.calls.explanation import explain_access
from keywright.sdk.calls.grants import Grants
from keywright.sdk.calls.keys import Keys
from keywright.sdk.calls.names import Names
from keywright.sdk.calls.roles import Roles
from keywright.sdk.calls.sessions import Sessions
from keywright.sdk.calls.usage import Usage
from keywright.sdk.calls.users import Users
from keywright.sdk.calls.workspaces import Workspaces
from keywright.sdk.connection.connection import TlsFiles, Way
from keywright.sdk.connection.credentials import (
    Secret,
    find_api_key,
    find_uri,
    given_api_key,
)
from keywright.sdk.connection.flow import Flow, Mode, Surface, Transport, operation
from keywright.sdk.values.access import AccessExplanation
from keywright.sdk.values.lifetimes import check_timeout
from keywright.sdk.values.results import Principal


class Connection(Transport, Protocol):
    """A transport with a connection that others can share."""

    def acting_with(self, api_key: Secret) -> Self:
        """Another credential over the same connection."""


class Facade(Surface[Mode]):
    """A client of a keywright server."""

    keys: Keys[Mode]
    users: Users[Mode]
    roles: Roles[Mode]
    grants: Grants[Mode]
    workspaces: Workspaces[Mode]
    sessions: Sessions[Mode]
    usage: Usage[Mode]
    audit: Audit[Mode]

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
        """Find out what is needed; nothing is sent yet.

        What is not given, nor in the environment, is looked up in the file that
        KEYWRIGHT_CLIENT_CONFIG names, else in ~/.config/keywright/config.toml: `uri`, `api_key` or
        `api_key_file`, `ca_file`, `certificate_file` and `key_file`, each by itself.

        Args:
            uri: `127.0.0.1:7700`, `grpc://host:port`, `grpcs://host:port` (TLS) or `unix:/path`;
                `grpcs://10.0.0.1:7700,10.0.0.2:7700` are two servers that take the calls in turn,
                as are all addresses of a host. Else the environment's KEYWRIGHT_URI, else the
                file's, else 127.0.0.1:7700.
            api_key: the token to call with; else the environment's KEYWRIGHT_API_KEY, else the
                file's.
            anonymous: call without a key, and look for none; `keys.report_leaked` needs none.
            workspace: where ids and e-mail addresses are looked up and things are created; the
                caller's own if not given.
            ca_file: certificates, as PEM, that may have signed the server's; else gRPC's own list.
            certificate_file: this client's own, as PEM, for a server that asks for one (mTLS); with
            key_file: its private key.
            allow_plaintext: send the key without TLS beyond this machine.
            timeout: the deadline of each call, with all its tries.

        Raises:
            ConfigurationError: one of these is missing or wrong.
            TypeError: one is of another type.
            ValueError: the timeout is none at all, or there is a key for a client without one.
        """
        check_timeout(timeout)
        if anonymous and api_key is not None:
            raise ValueError("an api_key is given, and anonymous: a client has a key, or none")
        uri = find_uri(uri, os.environ)
        key = Secret("") if anonymous else find_api_key(api_key, os.environ)
        tls_files = TlsFiles(ca_file, certificate_file, key_file)
        way = Way.find(uri, tls_files, os.environ, allow_plaintext=allow_plaintext)
        self._act(key, self._connect(way, key, timeout), workspace)

    def _act(self, key: Secret, transport: Connection, workspace: str | None) -> None:
        super().__init__(transport)
        self._api_key, self._connection = key, transport
        names = self._names = Names(key, workspace)
        self.keys = Keys(transport, names)
        self.users = Users(transport, names)
        self.roles = Roles(transport, names)
        self.grants = Grants(transport, names)
        self.workspaces = Workspaces(transport, names)
        self.sessions = Sessions(transport, names)
        self.usage = Usage(transport, names)
        self.audit = Audit(transport, names)

    @abstractmethod
    def _connect(self, way: Way, api_key: Secret, timeout: timedelta) -> Connection:
        """What is to run flows."""

    def acting_with(self, api_key: str | Secret, *, workspace: str | None = None) -> Self:
        """A client that calls with another key, or session, over the connection of this one.

        For a program that acts for many, each with a credential of their own. It takes no more than
        a few microseconds, and the connection is closed for all at once.

            own = client.acting_with(signed_in.token)

        Args:
            api_key: the token to call with.
            workspace: as for a client; the key's own if not given.

        Raises:
            ConfigurationError: no header can carry the key.
            TypeError: it is no text.
        """
        key = given_api_key(api_key)
        other = copy(self)
        other._act(key, self._connection.acting_with(key), workspace)  # noqa: SLF001  of its class
        return other

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
