"""Changes of a key: which of them give it something that it does not have."""

from dataclasses import dataclass
from datetime import datetime

from keywright.domain.creation import beyond, networks_within
from keywright.domain.keys import Key, Narrowing, RateLimit
from keywright.domain.resources import covers


@dataclass(frozen=True, slots=True)
class Reach:
    """All of a key's record that says what it is good for, besides its state."""

    narrowing: Narrowing
    expire_time: datetime | None = None
    rate_limit: RateLimit | None = None

    @classmethod
    def of(cls, key: Key) -> "Reach":
        """The reach of a key as it is."""
        return cls(key.narrowing, key.expire_time, key.rate_limit)


def widens(old: Reach, new: Reach) -> bool:
    """Whether a key may do anything with `new`, anywhere or ever, that it may not with `old`.

    That its user, and with it the key, may do more another day is no widening.
    """
    before, after = old.narrowing, new.narrowing
    return (
        bool(beyond(before, after))
        or not (before.resource == "" or covers(before.resource, after.resource))
        or not networks_within(after.allowed_networks, before.allowed_networks)
        or _ends_later(old.expire_time, new.expire_time)
        or _more_often(old.rate_limit, new.rate_limit)
    )


def _more_often(old: RateLimit | None, new: RateLimit | None) -> bool:
    return old is not None and (
        new is None or new.requests * old.period > old.requests * new.period
    )


def _ends_later(old: datetime | None, new: datetime | None) -> bool:
    return old is not None and (new is None or new > old)
