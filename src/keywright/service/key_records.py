"""Keys as the audit trail keeps them."""

from datetime import datetime

from keywright.domain.audit import duration_value, time_value
from keywright.domain.keys import Key


def described(key: Key, now: datetime) -> dict[str, object]:
    """All that is told of a key, at a moment."""
    return {
        "user": key.owner.user_id,
        "state": key.state(now),
        "prefix": key.prefix,
        "environment": key.environment,
        **changeable(key),
    }


def changeable(key: Key) -> dict[str, object]:
    """What an update can change of a key."""
    limit = key.rate_limit
    return {
        "display_name": key.display_name,
        "role": None if key.narrowing.role is None else key.narrowing.role.role_id,
        "scopes": list(key.narrowing.scopes),
        "resource": key.narrowing.resource,
        "allowed_networks": [str(network) for network in key.narrowing.allowed_networks],
        "labels": dict(key.labels),
        "rate_limit": None
        if limit is None
        else {"requests": limit.requests, "period": duration_value(limit.period)},
        "expire_time": time_value(key.expire_time),
    }
