"""Rules for the words that people write: display names, e-mails, labels."""

import re
import unicodedata
from collections.abc import Mapping

from keywright.domain.errors import invalid_field
from keywright.domain.names import is_email

DISPLAY_NAME_MAX_LENGTH = 200
DESCRIPTION_MAX_LENGTH = 1000
EXTERNAL_ID_MAX_LENGTH = 256
LABELS_MAX_COUNT = 64
_LABEL_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?")
_LABEL_VALUE_MAX_LENGTH = 256
# Characters that show nothing and are no control characters (Default_Ignorable_Code_Point of
# Unicode, and the blank ones): two addresses that differ by one would look the same.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_LINE_BREAKS = dict.fromkeys(map(ord, "\n\r\t"), " ")
# Characters that reorder the text around them: a name with one can pose as another name
# (CVE-2021-42574, "Trojan Source").
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_plain(text: str) -> bool:
    return not any(
        character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        for character in text
    )


def check_display_name(text: str, field: str) -> str:
    """`text`, if it can be shown to people as a name; may be empty."""
    if len(text) > DISPLAY_NAME_MAX_LENGTH or not _is_plain(text):
        raise invalid_field(
            field,
            f"must be at most {DISPLAY_NAME_MAX_LENGTH} characters without control characters, "
            "line breaks or characters that reverse the direction of text",
        )
    return text


def check_description(text: str, field: str) -> str:
    """`text`, if it can be shown to people as prose; may be empty."""
    if len(text) > DESCRIPTION_MAX_LENGTH or not _is_plain(text.translate(_LINE_BREAKS)):
        raise invalid_field(
            field,
            f"must be at most {DESCRIPTION_MAX_LENGTH} characters, without control characters "
            "other than line breaks and tabs, or characters that reverse the direction of text",
        )
    return text


def check_external_id(text: str, field: str) -> str:
    """`text`, if it can be an id from elsewhere; may be empty."""
    if len(text) > EXTERNAL_ID_MAX_LENGTH or not _is_plain(text):
        raise invalid_field(
            field,
            f"must be at most {EXTERNAL_ID_MAX_LENGTH} characters without control characters",
        )
    return text


def check_email(text: str, field: str) -> str:
    """`text`, if it has the shape of an e-mail address, also in the form it is compared in.

    Normalising can make an `@`, a space, or eighteen characters out of one.
    """
    if (
        not (is_email(text) and is_email(normalise_email(text)))
        or _INVISIBLE.search(text) is not None
    ):
        raise invalid_field(field, "must be an e-mail address such as a@b.example")
    return text


def normalise_email(text: str) -> str:
    """The form under which e-mails are compared and unique in a workspace.

    Unicode NFKC, then case folding, of the whole address. RFC 5321 lets the part before the `@`
    distinguish case; no provider of note does, and two accounts that differ only in case are a
    known way to pose as somebody else. Dots and `+tags` are left alone: they do differ.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def check_labels(labels: Mapping[str, str], field: str) -> dict[str, str]:
    """`labels`, if keys and values can be labels."""
    if len(labels) > LABELS_MAX_COUNT:
        raise invalid_field(field, f"must be at most {LABELS_MAX_COUNT} labels")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise invalid_field(
                field,
                "keys must be 1 to 63 characters of a-z, 0-9, '.', '_', '-' and '/', beginning and "
                "ending with a letter or digit",
            )
        if len(value) > _LABEL_VALUE_MAX_LENGTH or not _is_plain(value):
            raise invalid_field(
                f'{field}["{key}"]',
                f"must be at most {_LABEL_VALUE_MAX_LENGTH} characters without control characters",
            )
    return dict(labels)
