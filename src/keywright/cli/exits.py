"""Exit codes, which scripts rely on; docs/guides/cli.md has them too."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Self

from keywright.sdk import errors


class ExitCode(IntEnum):
    """How a command ended."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """A code with what it says."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "done"
    INTERNAL = 1, "a fault of the server or of this program, or not implemented"
    USAGE = 2, "the command line or the configuration is wrong; nothing was sent"
    UNAUTHENTICATED = 3, "your own credential is missing or does not stand"
    PERMISSION_DENIED = 4, "your credential stands but may not do this"
    NOT_FOUND = 5, "there is none, or it is not yours to see"
    INVALID_ARGUMENT = 6, "the server refused a value"
    CONFLICT = 7, "it exists already, its state forbids it, or another change came first"
    UNAVAILABLE = 8, "out of reach, overloaded or too slow; try again"
    TOKEN_DENIED = 9, "authenticate: the presented token is denied"
    TRAIL_BROKEN = 10, "audit verify: the trail is not as it was sealed"
    NOT_ALL_IMPORTED = 11, "import: some keys failed; the result says which and why"
    INTERRUPTED = 130, "interrupted by Ctrl-C, or by answering no"


_CODES: Mapping[type[errors.KeywrightError], ExitCode] = {
    errors.ConfigurationError: ExitCode.USAGE,
    errors.Unauthenticated: ExitCode.UNAUTHENTICATED,
    errors.PermissionDenied: ExitCode.PERMISSION_DENIED,
    errors.NotFound: ExitCode.NOT_FOUND,
    errors.InvalidArgument: ExitCode.INVALID_ARGUMENT,
    errors.AlreadyExists: ExitCode.CONFLICT,
    errors.FailedPrecondition: ExitCode.CONFLICT,
    errors.Aborted: ExitCode.CONFLICT,
    errors.ResourceExhausted: ExitCode.UNAVAILABLE,
    errors.Unavailable: ExitCode.UNAVAILABLE,
    errors.DeadlineExceeded: ExitCode.UNAVAILABLE,
    errors.TokenLost: ExitCode.CONFLICT,
}


def exit_code(error: errors.KeywrightError) -> ExitCode:
    """The code for an error that is not about a presented token."""
    # What is wrong with one's own credential has another gRPC code in AuthService than elsewhere.
    if error.reason == "CALLER_PERMISSION_MISSING":
        return ExitCode.PERMISSION_DENIED
    if error.about_caller or error.reason.startswith("API_KEY_"):
        return ExitCode.UNAUTHENTICATED
    return _CODES.get(type(error), ExitCode.INTERNAL)


def epilog() -> str:
    """All codes, for `--help`."""
    return "\n".join(["Exit codes:", *(f"{code.value}: {code.meaning}" for code in ExitCode)])
