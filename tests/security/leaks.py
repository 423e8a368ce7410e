"""What a client, or a reader of the log, must never see."""

import re
from collections.abc import Iterable

import grpc
from google.protobuf import text_format
from google.rpc import error_details_pb2

from keywright.storage import migrate
from tests.support.service import RefusedError

_SCHEMA = "\n".join(migration.sql for migration in migrate.load())
_CONSTRAINTS = sorted(set(re.findall(r"(?:CONSTRAINT|INDEX) (\w+)\b(?!\.)", _SCHEMA)))
_TABLES = sorted(set(re.findall(r"CREATE TABLE keywright\.(\w+)", _SCHEMA)))

# A traceback, a path, an exception's class, SQL, a name of the schema, a library, a token.
_INSIDE = re.compile(
    rf"""
    Traceback | \bline\ [0-9]+\b | object\ at\ 0x | \.pyc?\b | (?:^|[\s"'(])/[\w.-]+/
    | \b[A-Z]\w*(?:Error|Exception)\b
    | \b(?:SELECT|INSERT\ INTO|UPDATE|DELETE\ FROM|WHERE|JOIN|ROLLBACK)\b | \$[0-9]\b
    | (?i:sqlstate|postgres|asyncpg|psycopg|protovalidate|argon2|uvloop|violates|duplicate\ key)
    | \b(?:{"|".join(_CONSTRAINTS)})\b | \bkeywright\.(?:{"|".join(_TABLES)})\b
    """,
    re.VERBOSE,
)
_SECRET = re.compile(r"[0-9A-Za-z]{32,}")  # of a token; ids that the server gives are shorter
_CALL_ID = re.compile(r"\b[0-9a-f]{32}\b")
_OF_A_SEAL = re.compile(r'"(?:digest|signature|public_key)": "[^"]*"')


def details(refused: RefusedError) -> list[str]:
    """The details of an error as text, without the id of the call."""
    packed = [each for each in refused.status.details if not each.Is(_REQUEST_INFO)]
    return [text_format.MessageToString(each, as_utf8=True) for each in packed]


def essence(refused: RefusedError, name: str = "") -> tuple[str, ...]:
    """All that tells one error from another, the `name` that was asked for left out."""
    told = (refused.code.name, refused.message, *details(refused))
    return tuple(each.replace(name, "<name>") for each in told) if name else told


def assert_tells_nothing_of_the_inside(refused: RefusedError) -> None:
    """An error has its reason, and no word about how the server is built."""
    assert refused.info.reason
    assert refused.code is not grpc.StatusCode.UNKNOWN
    for text in (refused.message, *details(refused)):
        found = _INSIDE.search(text)
        assert not found, f"{found[0]!r} in {text!r}"


def assert_no_secret_in(log: Iterable[str], *secrets: str) -> None:
    """No line has a piece of a token, or of what else was presented as one."""
    for line in log:
        assert not _SECRET.search(_OF_A_SEAL.sub("", _CALL_ID.sub("", line))), line
        for secret in secrets:
            assert secret not in line, line


_REQUEST_INFO = error_details_pb2.RequestInfo.DESCRIPTOR
