"""One question to the server, refused here if no server takes it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.sdk.connection.argument_types import checks_of
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.errors import FieldViolation, InvalidArgument, Unauthenticated
from keywright.sdk.values.asked_for import PERMISSION_MAX_LENGTH
from keywright.sdk.values.resources import RESOURCE_MAX_LENGTH, is_resource
from keywright.v1 import auth_service_pb2 as pb

# As servers have it. So 128 questions together are less than 4 MiB, which a server takes.
_TOKEN_MAX_BYTES = 8192  # what is longer is TOKEN_MALFORMED
_PERMISSIONS_MAX_COUNT = 100
_WORD_MAX_LENGTH = 64  # an environment's or an address's; no server takes one that is as long


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Question:
    """Who presents a token, and does all that is asked for hold?

    It does not print: it has the token, and reports of crashes show the locals of every frame.

    Attributes:
        key: under which the cache has the answer.
        request: what the server is asked.
    """

    key: Hashable
    request: pb.AuthenticateRequest

    @classmethod
    def of(
        cls,
        cache: LeasedCache,
        token: Secret,
        resource: str,
        require: Sequence[str],
        environment: str,
        client_address: str,
    ) -> "Question":
        """The question that `Authenticator.authenticate` puts.

        Raises:
            Unauthenticated: `TOKEN_MALFORMED`.
            InvalidArgument: `FIELD_INVALID`.
            TypeError: one is of another type.
        """
        if isinstance(require, str):
            raise TypeError('permissions are given as a sequence: require=["datasets.read"]')
        if len(token.reveal().encode()) > _TOKEN_MAX_BYTES:
            raise malformed(f"has more than {_TOKEN_MAX_BYTES} bytes")
        _check_types((cache, token, resource, require, environment, client_address), {})
        _check(resource, require, environment, client_address)
        try:
            request = pb.AuthenticateRequest(
                token=token.reveal(),
                resource=resource,
                required_permissions=require,
                required_environment=environment,
                client_address=client_address,
            )
        except UnicodeEncodeError:
            raise InvalidArgument(
                "something asked for is no text", reason="FIELD_INVALID"
            ) from None
        return cls(cache.key_of(token.reveal(), resource, require, environment), request)

    @property
    def client_address(self) -> str:
        """Where the client is; empty if nobody told."""
        return self.request.client_address


_check_types = checks_of(Question.of.__func__)  # type: ignore[attr-defined]  # of a class method


def malformed(how: str) -> Unauthenticated:
    """The error of a token that can be none."""
    return Unauthenticated(f"the token {how}", reason="TOKEN_MALFORMED")


def _check(resource: str, require: Sequence[str], environment: str, client_address: str) -> None:
    """Refuse what no server takes and what, in one call with others', would be too much for it."""
    if resource and not is_resource(resource):
        raise _invalid(
            "resource",
            f"must be a path such as projects/abc, of at most {RESOURCE_MAX_LENGTH} characters, "
            "without empty segments or control characters",
        )
    if len(require) > _PERMISSIONS_MAX_COUNT:
        raise _invalid("required_permissions", f"must be at most {_PERMISSIONS_MAX_COUNT}")
    for index, permission in enumerate(require):
        if len(permission) > PERMISSION_MAX_LENGTH:
            raise _invalid(
                f"required_permissions[{index}]",
                "must be a permission such as datasets.read, not a pattern",
            )
    if len(environment) > _WORD_MAX_LENGTH:
        raise _invalid("required_environment", "must be an environment such as live")
    if len(client_address) > _WORD_MAX_LENGTH:
        raise _invalid("client_address", "must be an IPv4 or IPv6 address")


def _invalid(field: str, how: str) -> InvalidArgument:
    return InvalidArgument(
        f"{field}: {how}", reason="FIELD_INVALID", violations=[FieldViolation(field, how)]
    )
