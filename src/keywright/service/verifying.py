"""What everybody is told who presents a secret that cannot be verified, or is not the right one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from keywright.domain.errors import Denied, Reason, ServiceError, Unavailable
from keywright.security.failure_limit import FailureLimitedError
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.pepper import UnknownPepperError


def unknown() -> Denied:
    """The one answer to every well-formed token without the right secret (promise G12)."""
    return Denied(Reason.TOKEN_UNKNOWN, "no key goes with this token")


def overloaded() -> ServiceError:
    """Too many hashes wait already; nothing was done."""
    return ServiceError(
        Reason.OVERLOADED, "too many tokens are being verified at the moment; try again"
    )


@contextmanager
def verifying() -> Iterator[None]:
    """Around a verify: that it was not done says nothing about the token.

    Raises:
        ServiceError: OVERLOADED, too many hashes wait; FAILURES_LIMITED, too many were wrong.
        Unavailable: a pepper is missing here.
    """
    try:
        yield
    except HashPoolFullError as error:
        raise overloaded() from error
    except FailureLimitedError as error:
        raise ServiceError(
            Reason.FAILURES_LIMITED,
            "too many wrong tokens have come from there; try again later",
            retry_delay=timedelta(seconds=error.seconds),
        ) from error
    except UnknownPepperError as error:
        raise Unavailable(
            Reason.SERVER_UNAVAILABLE, "this server lacks a pepper; another one may have it"
        ) from error
