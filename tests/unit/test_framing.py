"""gRPC over HTTP/2, byte by byte."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywright.front import framing
from keywright.front.framing import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, RefusedCall

LIMIT = 1000
MESSAGE = b"a message"


def compressed(message: bytes) -> bytes:
    """A message that says it is compressed, and is as it is given."""
    return b"\1" + len(message).to_bytes(4) + message


@given(st.binary(max_size=LIMIT))
def test_what_is_framed_is_taken_as_it_was(message: bytes) -> None:
    body = framing.framed(message)
    assert framing.unframed(body, None, LIMIT) == message
    assert framing.whole({"body": body, "more_body": False}) == message
    assert framing.unframed(compressed(gzip.compress(message)), b"gzip", LIMIT + 100) == message


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"", None, INTERNAL),
        (b"\0\0\0\0", None, INTERNAL),
        (framing.framed(MESSAGE)[:-1], None, INTERNAL),
        (framing.framed(MESSAGE) + b"x", None, INTERNAL),
        (framing.framed(MESSAGE) * 2, None, INTERNAL),
        (b"\2" + framing.framed(MESSAGE)[1:], None, INTERNAL),
        (b"\0\xff\xff\xff\xff", None, RESOURCE_EXHAUSTED),
        (framing.framed(bytes(LIMIT + 1)), None, RESOURCE_EXHAUSTED),
        (compressed(MESSAGE), None, INTERNAL),
        (compressed(MESSAGE), b"identity", INTERNAL),
        (compressed(MESSAGE), b"gzip", INTERNAL),
        (compressed(gzip.compress(MESSAGE, mtime=0)[:-1]), b"gzip", INTERNAL),
        (compressed(gzip.compress(MESSAGE, mtime=0) + b"x"), b"gzip", INTERNAL),
        (compressed(zlib.compress(MESSAGE)), b"gzip", INTERNAL),
        (compressed(zlib.compress(MESSAGE)), b"deflate", UNIMPLEMENTED),
        (compressed(MESSAGE), b"snappy", UNIMPLEMENTED),
        (compressed(gzip.compress(bytes(LIMIT + 1), mtime=0)), b"gzip", RESOURCE_EXHAUSTED),
    ],
)
def test_what_is_not_one_message_is_refused(body: bytes, encoding: bytes | None, code: int) -> None:
    with pytest.raises(RefusedCall) as refused:
        framing.unframed(body, encoding, LIMIT)
    assert refused.value.code == code
    assert framing.whole({"body": body, "more_body": False}) is None or code != INTERNAL


def test_a_compressed_message_is_inflated_to_the_limit_and_not_further() -> None:
    bomb = compressed(gzip.compress(bytes(64 * 2**20)))
    tracemalloc.start()
    try:
        with pytest.raises(RefusedCall) as refused:
            framing.unframed(bomb, b"gzip", 2**20)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == RESOURCE_EXHAUSTED
    assert most < 4 * 2**20


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"500m", 0.5),
        (b"99999999u", 99.999999),
        (b"1n", 1e-9),
        (b"0S", 0),
    ],
)
def test_a_timeout_is_a_number_and_a_unit(value: bytes, seconds: float) -> None:
    assert framing.timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"1s", b"123456789m", b"-1S", b"1.5S", b"1S "])
def test_a_timeout_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(RefusedCall) as refused:
        framing.timeout(value)
    assert refused.value.code == INTERNAL


def test_metadata_that_is_binary_is_decoded_and_what_is_the_protocol_s_left_out() -> None:
    assert framing.metadata(
        [
            (b"host", b"localhost"),
            (b"te", b"trailers"),
            (b"grpc-timeout", b"1S"),
            (b"authorization", b"Bearer x"),
            (b"padded-bin", b"AA=="),
            (b"unpadded-bin", b"AA"),
            (b"joined-bin", b"AA==, AQ,"),
            (b"latin", b"\xe9"),
        ]
    ) == (
        ("authorization", "Bearer x"),
        ("padded-bin", b"\0"),
        ("unpadded-bin", b"\0"),
        ("joined-bin", b"\0"),
        ("joined-bin", b"\1"),
        ("joined-bin", b""),
        ("latin", "\xe9"),
    )
    with pytest.raises(RefusedCall):
        framing.metadata([(b"broken-bin", b"a")])


@given(st.binary(max_size=100))
def test_binary_metadata_comes_back_as_it_went(value: bytes) -> None:
    sent = framing.headers_of([("some-bin", value)])
    assert framing.metadata(sent) == (("some-bin", value),)


def test_a_status_message_is_percent_encoded() -> None:
    assert framing.percent_encoded("plain, as it is") == b"plain, as it is"
    assert framing.percent_encoded("100% déjà vu\n") == b"100%25 d%C3%A9j%C3%A0 vu%0A"
