"""The ids that we give."""

import os

from keywright.domain.identity import mint_id
from keywright.domain.names import is_id


def test_a_given_id_is_one_that_a_client_could_have_chosen() -> None:
    assert all(is_id(mint_id(os.urandom)) for _ in range(200))
    assert is_id(mint_id(lambda count: b"\0" * count))
    assert is_id(mint_id(lambda count: b"\xff" * count))


def test_every_bit_of_the_entropy_is_in_the_id() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return b"\0" * count

    zero = mint_id(entropy)
    assert asked == [10]
    flipped = set()
    for bit in range(80):
        number = (1 << bit).to_bytes(10, "big")
        flipped.add(mint_id(lambda _count, number=number: number))  # type: ignore[misc]
    assert len(flipped | {zero}) == 81


def test_a_given_id_has_no_letters_that_are_misread() -> None:
    text = "".join(mint_id(os.urandom) for _ in range(500))

    assert not set(text) & set("ilou")
