"""What a server remembers of a session: its end moves with use, and not beyond the last one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keywright.domain.authority import authority_of
from keywright.domain.decision import Credential, stands
from keywright.domain.dependency import ChangeKind, dependency, internal_id
from keywright.domain.directory import Owner, State
from keywright.domain.errors import Denied
from keywright.domain.keys import Person
from keywright.domain.sessions import Session, SessionState, SignInMethod
from keywright.service.known import Idle
from tests.support.credentials import NOW, ROLES, known, user

IDLE, LIFETIME = timedelta(hours=1), timedelta(hours=12)
SESSION = Session(
    workspace_id="default",
    session_id="s1",
    user=Person("ann", "ann@example.com"),
    method=SignInMethod.LINK,
    create_time=NOW,
    expire_time=NOW + LIFETIME,
    idle_timeout=IDLE,
    last_used_time=NOW,
    internal_id=7,
)


def credential(session: Session = SESSION, role: str = "guest") -> Credential:
    owner = user("ann", ROLES[role])
    return Credential(session, owner, State.ACTIVE, authority_of(Owner(owner, ())))


@pytest.mark.parametrize(
    ("changed", "after", "state"),
    [
        ({}, timedelta(), SessionState.ACTIVE),
        ({}, IDLE - timedelta(microseconds=1), SessionState.ACTIVE),
        ({}, IDLE, SessionState.EXPIRED),
        ({"last_used_time": NOW + LIFETIME - IDLE / 2}, LIFETIME, SessionState.EXPIRED),
        ({"revoke_time": NOW}, timedelta(), SessionState.REVOKED),
        ({"revoke_time": NOW}, LIFETIME, SessionState.REVOKED),
        ({"is_withdrawn": True}, timedelta(), SessionState.REVOKED),
    ],
)
def test_a_session_stands_until_it_is_idle_or_old_or_revoked(
    changed: dict[str, object], after: timedelta, state: SessionState
) -> None:
    session, now = replace(SESSION, **changed), NOW + after  # type: ignore[arg-type]
    assert session.state(now) is state
    if state is SessionState.ACTIVE:
        stands(credential(session), now)
        return
    with pytest.raises(Denied) as denied:
        stands(credential(session), now)
    assert denied.value.reason.value == f"SESSION_{state}"


def test_each_use_puts_the_end_off_but_for_the_last_end() -> None:
    now = NOW.timestamp()
    remembered = replace(
        known(credential()),
        end=now + 3600,
        idle=Idle(3600, last_end=now + 12 * 3600),
    )
    assert remembered.ids.is_session
    assert not remembered.prolonged(now + 3600), "nobody has used it here"
    remembered.last_time = now + 3599
    assert remembered.prolonged(now + 3600)
    assert remembered.end == now + 3599 + 3600
    assert not remembered.prolonged(now + 3599 + 3600)
    remembered.last_time = now + 12 * 3600 - 1
    assert remembered.prolonged(now + 12 * 3600 - 0.5)
    assert remembered.end == now + 12 * 3600
    assert not remembered.prolonged(now + 12 * 3600)


@pytest.mark.parametrize("kind", ChangeKind)
@pytest.mark.parametrize("number", [1, 2, 7, 2**53])
def test_the_number_of_a_row_tells_its_id_and_no_other_row_has_it(
    kind: ChangeKind, number: int
) -> None:
    assert internal_id(dependency(kind, number)) == number
    others = {dependency(each, number) for each in ChangeKind if each is not kind}
    assert dependency(kind, number) not in others


def test_the_numbers_of_what_there_was_before_sessions_are_as_they_were() -> None:
    """Client caches hold marks of them, and ask servers of several versions."""
    assert [dependency(ChangeKind(each), 5) for each in ("workspace", "role", "user", "key")] == [
        *(20, 21, 22, 23)
    ]
