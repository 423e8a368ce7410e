"""What is remembered of keys takes no more memory than it is counted for, whatever they may do."""

import tracemalloc
from collections.abc import Callable

import pytest

from keywright.domain.decision import Asked, Credential, permitted
from keywright.domain.keys import Narrowing
from keywright.service.known import Known, shared
from keywright.wire.rendering import Rendering, _permissions
from keywright.wire.sealing import Seal
from tests.support.credentials import credential, known, role, user

KEYS = 400
ANYTHING = role("*")


def patterns(number: int, many: int) -> list[str]:
    return [f"application{number}.things{each:02}.read" for each in range(many)]


def of_one_role(_number: int) -> Credential:
    return credential(user(of=role(*patterns(0, 100))))


def of_a_role_each(number: int) -> Credential:
    return credential(user(of=role(*patterns(number, 100))))


def with_scopes_of_its_own(number: int) -> Credential:
    return credential(user(of=ANYTHING), narrowing=Narrowing(scopes=(*patterns(number, 50),)))


def remembered(found: Credential) -> Known:
    """As `Proving` does it."""
    asks_nothing = permitted("live", found.authority, Asked())
    return known(found, plain=Rendering(Seal(b"k" * 32)).permissions(asks_nothing))


@pytest.mark.parametrize("key", [of_one_role, of_a_role_each, with_scopes_of_its_own])
def test_what_is_remembered_is_counted(key: Callable[[int], Credential]) -> None:
    tracemalloc.start()
    try:
        kept = [remembered(key(number)) for number in range(KEYS)]
        for each in (_permissions, shared):  # bounded by themselves
            each.cache_clear()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < sum(each.size for each in kept)
