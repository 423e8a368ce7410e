"""Page tokens and revisions: opaque, and refused when they are not exactly what was given out."""

import base64
from uuid import UUID

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from keywright.domain.errors import InvalidFields, Reason
from keywright.domain.position import Position
from keywright.v1 import key_service_pb2, user_service_pb2
from keywright.v1.key_pb2 import KeyFilter
from keywright.wire import sealing
from keywright.wire.sealing import Seal

SEAL = Seal(bytes(range(32)))
OTHER_INSTALLATION = Seal(bytes(range(1, 33)))
CALLER = "workspaces/default/users/ann"
QUERY = key_service_pb2.ListKeysRequest(parent="workspaces/default")
POSITION = Position(7, UUID(int=7))

afters = st.text(min_size=1, max_size=300)
texts = st.text() | st.text("ABCabc019-_=+/\n", max_size=64)


def page_after(token: str, caller: str = CALLER, query: Message = QUERY, seal: Seal = SEAL) -> str:
    after = seal.page_after(token, caller=caller, query=query)
    assert after is not None
    return after


def refused(token: str, caller: str = CALLER, query: Message = QUERY, seal: Seal = SEAL) -> None:
    with pytest.raises(InvalidFields) as error:
        page_after(token, caller, query, seal)
    assert error.value.reason is Reason.PAGE_TOKEN_INVALID
    assert [violation.field for violation in error.value.violations] == ["page_token"]


def a_token(after: str = "42") -> str:
    return SEAL.page_token(after, caller=CALLER, query=QUERY)


@given(afters)
def test_a_page_token_says_where_the_next_page_begins(after: str) -> None:
    token = a_token(after)
    assert page_after(token) == after
    assert token.isascii()
    assert after not in token or len(after) < 4


def test_no_page_token_is_the_first_page() -> None:
    assert SEAL.page_after("", caller=CALLER, query=QUERY) is None


def test_the_size_of_a_page_and_the_token_itself_may_change_between_pages() -> None:
    other = key_service_pb2.ListKeysRequest(parent=QUERY.parent, page_size=7, page_token="x")
    assert page_after(a_token(), query=other) == "42"


def test_every_bit_of_a_page_token_matters() -> None:
    token = a_token()
    sealed = base64.urlsafe_b64decode(token)
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(base64.urlsafe_b64encode(flipped).decode())
    for index in range(len(token)):
        for bit in range(7):
            refused(token[:index] + chr(ord(token[index]) ^ 1 << bit) + token[index + 1 :])
        refused(token[:index] + token[index + 1 :])
        if index:
            refused(token[:index])


@given(texts)
def test_what_was_never_given_out_is_refused(text: str) -> None:
    if text and text != a_token():
        refused(text)


@pytest.mark.parametrize(
    "query",
    [
        key_service_pb2.ListKeysRequest(parent="workspaces/other"),
        key_service_pb2.ListKeysRequest(parent=QUERY.parent, filter=KeyFilter()),
        key_service_pb2.ListKeysRequest(parent=QUERY.parent, filter=KeyFilter(search="x")),
        key_service_pb2.ListKeysRequest(parent=QUERY.parent, order_by="display_name"),
        # The same bytes, but another list.
        user_service_pb2.ListUsersRequest(parent=QUERY.parent),
    ],
    ids=str,
)
def test_a_page_token_is_bound_to_its_query(query: Message) -> None:
    refused(a_token(), query=query)


def test_a_page_token_is_bound_to_its_caller_and_installation() -> None:
    for caller in ("", "workspaces/default/users/bob", f"{CALLER}\0", CALLER[:-1]):
        refused(a_token(), caller=caller)
    refused(a_token(), seal=OTHER_INSTALLATION)


def test_caller_and_query_cannot_be_moved_into_one_another() -> None:
    """What a caller's name ends with is no part of what a query begins with."""
    bindings = {
        sealing._binding(caller, key_service_pb2.ListKeysRequest(parent=parent))
        for caller, parent in (("a", "bc"), ("ab", "c"), ("a\0", "bc"), ("", "abc"))
    }
    assert len(bindings) == 4


def test_without_the_binding_a_page_token_would_be_anybodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted bug: the tests above fail with it, so they would see it."""
    monkeypatch.setattr(sealing, "_binding", lambda _caller, _query: b"")
    with pytest.raises(pytest.fail.Exception):
        refused(a_token(), caller="workspaces/default/users/bob")
    with pytest.raises(pytest.fail.Exception):
        refused(a_token(), query=user_service_pb2.ListUsersRequest())


@given(st.integers(0, 2**63 - 1), st.uuids())
def test_a_revision_stands_for_its_position(revision: int, tag: UUID) -> None:
    position = Position(revision, tag)
    assert SEAL.position(SEAL.revision(position), "min_revision") == position


def test_a_revision_that_is_not_exactly_one_is_refused_and_its_field_named() -> None:
    revision = SEAL.revision(POSITION)
    # base64 ignores bits of the last character, and has two writings of + and /.
    same_bytes = revision[:-1] + chr(ord(revision[-1]) + 1)
    padded = base64.urlsafe_b64decode(f"{same_bytes}==") == base64.urlsafe_b64decode(
        f"{revision}=="
    )
    assert padded, "else this is no other writing of the same bytes"
    for text in (
        *("", "1", "x", f"{revision}=", f"{revision}==", f"{revision}A", revision[:-1], same_bytes),
        *(revision.replace("-", "+").replace("_", "/") + "=", f" {revision}", f"{revision}\n"),
        a_token(),
        OTHER_INSTALLATION.revision(POSITION),
    ):
        with pytest.raises(InvalidFields) as error:
            SEAL.position(text, "min_revision")
        assert error.value.reason is Reason.FIELD_INVALID
        assert [violation.field for violation in error.value.violations] == ["min_revision"]


def test_a_revision_is_no_page_token() -> None:
    refused(SEAL.revision(POSITION))
