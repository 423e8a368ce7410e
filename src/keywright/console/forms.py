"""Forms: what was filled in, and what is wrong with it."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request

from keywright.console import csrf
from keywright.sdk import KeywrightError

REQUEST_ID = "request_id"
_URLENCODED = "application/x-www-form-urlencoded"
_FIELDS_MAX_COUNT = 1_000
_BODY_SECONDS = 15.0
_INDEX = re.compile(r"\[[^\]]*\]")
_REQUEST_ID = re.compile(r"[0-9a-f-]{36}")
TOKEN = "token"  # noqa: S105  a name
"""The field of every secret that is typed in."""
# What is in no address: it would be kept by the browser, and told to whoever looks at the screen.
_NOT_CARRIED = frozenset({csrf.FIELD, REQUEST_ID, TOKEN})


class Form:
    """What a person has filled in, field by field, and the mistakes in it.

    `errors` are by field; that of no field has the name "".
    """

    def __init__(self, values: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in values:
            self._values.setdefault(name, []).append(value)
        self.errors: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """A field with one value, without spaces around it."""
        return self._values.get(name, [default])[0].strip()

    def lines(self, name: str) -> str:
        """A field with several values, as it was filled in."""
        return "\n".join(self._values.get(name, ()))

    def texts(self, name: str) -> list[str]:
        """A field with several values: chosen ones, or a word or line each."""
        return [word for value in self._values.get(name, ()) for word in value.split()]

    def day(self, name: str) -> datetime | None:
        """When a day begins (UTC); None if none is given, or a mistake."""
        if not self.text(name):
            return None
        try:
            return datetime.combine(date.fromisoformat(self.text(name)), time.min, UTC)
        except ValueError:
            self.fail(name, "Enter a day: 2026-11-29.")
            return None

    def fail(self, name: str, message: str) -> None:
        """Note a mistake in a field; the first one is told."""
        self.errors.setdefault(name, message)

    def take(self, error: KeywrightError, fields: Mapping[str, str] | None = None) -> None:
        """Note what the server found wrong.

        Args:
            error: what it said.
            fields: which field a reason is about: `{"POLICY_LIFETIME_TOO_LONG": "validity"}`.
        """
        fields = fields or {}
        for each in error.violations:
            name = _field(each.field)
            self.fail(fields.get(name, name), _sentence(each.description))
        if not error.violations:
            name = _field(error.metadata.get("field", ""))
            self.fail(fields.get(error.reason, fields.get(name, name)), _sentence(error.message))

    @property
    def request_id(self) -> str:
        """Marks what this form does, so that it is done once; a new form has a new one."""
        given = self.text(REQUEST_ID)
        return given if _REQUEST_ID.fullmatch(given) else str(uuid4())

    def renew(self) -> None:
        """What it does when it is sent again is something else."""
        self._values.pop(REQUEST_ID, None)

    def query(self) -> str:
        """The fields as a query: what shows the form again, as it was filled in."""
        return urlencode(
            [
                (name, value)
                for name, values in self._values.items()
                if name not in _NOT_CARRIED
                for value in values
            ]
        )

    @classmethod
    def of_query(cls, request: Request) -> "Form":
        """A form as an address fills it in."""
        return cls(request.query_params.multi_items())


async def read_form(request: Request, body_bytes: int) -> Form:
    """The form that was sent.

    Raises:
        HTTPException: it is no form, too large, or came too slowly.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _URLENCODED:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Only forms are taken, no files.")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > body_bytes:
                    raise HTTPException(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is more than the form can take."
                    )
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "The form came too slowly.") from None
    try:
        return Form(
            parse_qsl(
                body.decode(),
                keep_blank_values=True,
                max_num_fields=_FIELDS_MAX_COUNT,
                errors="strict",
            )
        )
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "This is no form of ours.") from None


def _field(path: str) -> str:
    return _INDEX.sub("", path).rpartition(".")[2]


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
