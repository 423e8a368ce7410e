"""Hashes of one token, as other products store them, and what imports of them look like."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from keywright.v1 import error_reason_pb2
from keywright.v1 import key_service_pb2 as pb
from tests.support.service import PARENT, Caller

TOKEN = "Nvfr4Lc6.sZ1xQx0m4hN3kqkVb5dX7yW2tJ8rP9aE"
PREFIX = "Nvfr4Lc6"
# As djangorestframework-api-key makes tokens, and as better-auth does.
DOTTED = r"[A-Za-z0-9]{8}\.[A-Za-z0-9]{32}"
LETTERS = "[A-Za-z]{64}"


@dataclass(frozen=True)
class Stored:
    """A hash of `TOKEN`. `slow` says that it is no digest."""

    form: str
    text: str
    slow: bool = True


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_SHA256 = hashlib.sha256(TOKEN.encode())
_SHA512 = hashlib.sha512(TOKEN.encode())
# Made by Django 5.2, djangorestframework-api-key 3.1, passlib 1.7.4 and argon2-cffi, with few
# iterations where that can be said.
FORMS = {
    "SHA-256 in hex": Stored("SHA256_HEX", _SHA256.hexdigest(), slow=False),
    "SHA-256 in capital hex": Stored("SHA256_HEX", _SHA256.hexdigest().upper(), slow=False),
    "SHA-256 in base64": Stored("SHA256_BASE64", _base64(_SHA256.digest()), slow=False),
    "SHA-256 in base64url without padding": Stored(
        "SHA256_BASE64",
        base64.urlsafe_b64encode(_SHA256.digest()).decode().rstrip("="),
        slow=False,
    ),
    "SHA-512 in hex": Stored("SHA512_HEX", _SHA512.hexdigest(), slow=False),
    "SHA-512 in base64": Stored("SHA512_BASE64", _base64(_SHA512.digest()), slow=False),
    "djangorestframework-api-key": Stored(
        "DJANGO",
        "sha512$$3159ee8cd90c3caee5f4f6b5cfb32990ac138a85e80956d3d42c477cdb4b6a07"
        "a3506d869d56ef6ce546950d9c47ed9ed7d5c2aa1725970bcd3f25ccf939fbef",
        slow=False,
    ),
    "Django's PBKDF2": Stored(
        "DJANGO",
        "pbkdf2_sha256$1000$X3lHFxR5wndQiAxEKLELfW$qoX48uXFKdtG0lS3j+d7/GVjXmXQM9XcFGIUSTPpf9o=",
    ),
    "Django's PBKDF2 with SHA-1": Stored(
        "DJANGO", "pbkdf2_sha1$1000$9tX84Isl4VFTyDkuauRJHf$tIzysAwNTAsdI8i3/Vq/8mTuFyM="
    ),
    "Django's Argon2": Stored(
        "DJANGO",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$WVltS1FjOHoxWFpSajZtNFltVFFmNw$"
        "QgQ+DKLT3NmwQT11L4aBN/2/MgFNVmtWf8nP1Hcju6U",
    ),
    "Django's bcrypt": Stored(
        "DJANGO", "bcrypt$$2b$04$6qyzUxLL0Q/KKB4R3PXT6.C9TmR8qOr6pxmZT5fdff/U.2Frj9jfq"
    ),
    "Django's bcrypt of SHA-256": Stored(
        "DJANGO", "bcrypt_sha256$$2b$04$4OTFW/ouXgb9S/jOVc8uBuC10PH8cToQCEl16l03.U5a2MHvkCS66"
    ),
    "bcrypt": Stored("PHC", "$2b$04$6qyzUxLL0Q/KKB4R3PXT6.C9TmR8qOr6pxmZT5fdff/U.2Frj9jfq"),
    "bcrypt of PHP": Stored("PHC", "$2y$04$6qyzUxLL0Q/KKB4R3PXT6.C9TmR8qOr6pxmZT5fdff/U.2Frj9jfq"),
    "passlib's PBKDF2": Stored(
        "PHC",
        "$pbkdf2-sha256$1000$CGEMoTTm/F.LsTYmpBSC0A$j3JGDOYy3JbAs5Dw1A4vq5R85RNRpOKIS69jps.2tfQ",
    ),
    "PBKDF2 as a PHC string": Stored(
        "PHC",
        "$pbkdf2-sha256$i=1000,l=32$CGEMoTTm/F+LsTYmpBSC0A$"
        "j3JGDOYy3JbAs5Dw1A4vq5R85RNRpOKIS69jps+2tfQ",
    ),
    "passlib's PBKDF2 with SHA-512": Stored(
        "PHC",
        "$pbkdf2-sha512$1000$YMwZQ0gpJQSAsLYWAmCMMQ$WJjj5yE48DH.leBuD2Iy/0HisEZP9g5ec2BOjUzp5kkw"
        "A1RPO44I54YA5l7LizLQV/GHNo.suQQDevub/.wFzg",
    ),
    "Argon2": Stored(
        "PHC",
        "$argon2id$v=19$m=102400,t=2,p=8$WVltS1FjOHoxWFpSajZtNFltVFFmNw$"
        "QgQ+DKLT3NmwQT11L4aBN/2/MgFNVmtWf8nP1Hcju6U",
    ),
}
BCRYPT = FORMS["bcrypt"].text


def form(name: str) -> int:
    """The enum's value."""
    return pb.HashForm.Value(f"HASH_FORM_{name}")


def by_prefix(pattern: str = DOTTED, length: int = 8, **more: Any) -> dict[str, Any]:
    """A format whose tokens are found by their prefix."""
    return {
        "pattern": pattern, "lookup": pb.TOKEN_LOOKUP_PREFIX, "prefix_length": length, **more
    }  # fmt: skip


def by_digest(pattern: str = LETTERS, **more: Any) -> dict[str, Any]:
    """A format whose tokens are found by their digest."""
    return {"pattern": pattern, "lookup": pb.TOKEN_LOOKUP_DIGEST, **more}


def digest_item(token: str, **more: Any) -> dict[str, Any]:
    """An item whose hash is the SHA-256 of the whole token."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {"hash": digest, "hash_form": form("SHA256_HEX"), **more}


def slow_item(token: str, *, prefix_length: int = 8, **more: Any) -> dict[str, Any]:
    """An item with a PBKDF2 of few iterations, found by the token's prefix."""
    raw = hashlib.pbkdf2_hmac("sha256", token.encode(), b"salt", 10)
    return {
        "hash": f"pbkdf2_sha256$10$salt${_base64(raw)}",
        "hash_form": form("DJANGO"),
        "prefix": token[:prefix_length],
        **more,
    }


async def import_keys(
    caller: Caller, shape: dict[str, Any], *items: dict[str, Any], parent: str = PARENT, **more: Any
) -> pb.ImportKeysResponse:
    """ImportKeys."""
    reply = await caller.do("ImportKeys", parent=parent, format=shape, items=items, **more)
    assert len(reply.results) == len(items)
    return reply


def reasons(reply: pb.ImportKeysResponse) -> list[str]:
    """Why each item failed, `FIELD_INVALID`; empty for those that did not."""
    return [
        "" if each.HasField("key") else error_reason_pb2.ErrorReason.Name(each.error.reason)[13:]
        for each in reply.results
    ]
