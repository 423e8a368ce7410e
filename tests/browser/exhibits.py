"""What the pictures of the console show: people and keys of a made-up company, as of one day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.service import PARENT, Service

TODAY = datetime(2026, 6, 15, 8, 24, tzinfo=UTC)
"""When all pictures seem to be taken."""

ANN, GRACE = "ann", "grace"
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_ADDRESS = "203.0.113.24"


@dataclass(frozen=True)
class Exhibit:
    """A key; times are as long ago, but the expiry, which is still to come."""

    key_id: str
    prefix: str
    display_name: str
    created: timedelta
    user: str = ANN
    used: timedelta | None = None
    expires: timedelta | None = None
    change: str = ""
    role: str = ""
    scopes: Sequence[str] = ()
    resource: str = ""
    environment: str = "live"


EXHIBITS = (
    Exhibit("website-ci", "3fK9aZ01bQxY", "CI of the website", 41 * _DAY, used=_HOUR / 3),
    Exhibit(
        *("label-import", "Qw7LmT52eRz0", "Label import", 26 * _DAY),
        used=5 * _HOUR,
        expires=64.5 * _DAY,
        role="labeler",
    ),
    Exhibit(
        *("nightly-export", "h8Vd3JkP6sUa", "Nightly export", 83 * _DAY),
        used=8 * _HOUR,
        expires=6.5 * _DAY,
        scopes=("datasets.read", "projects.read"),
    ),
    Exhibit(
        *("notebook", "Zb4nC1yXo9Ti", "Notebook on my laptop", 12 * _DAY),
        used=2 * _DAY,
        scopes=("datasets.*",),
        resource="projects/street-signs",
    ),
    Exhibit(
        *("load-test", "m2Gf8WqE5uHv", "Load test", 9 * _DAY),
        environment="test",
        change="Disable",
    ),
    Exhibit(
        *("old-ci", "Rk6DpS0wNj3c", "CI of the old website", 190 * _DAY),
        used=60 * _DAY,
        change="Revoke",
    ),
    Exhibit("train", "x5OeYt9BlIa7", "Model training", 33 * _DAY, user="ben", used=_HOUR),
    Exhibit(
        *("dashboards", "Uc2MvK4hFq8g", "Dashboards", 15 * _DAY),
        user="mira",
        used=3 * _HOUR,
        scopes=("projects.read",),
    ),
)


async def hang(service: Service) -> datetime:
    """Put all of them into a new server; returns the moment that stands for `TODAY`."""
    admin, now = service.admin, datetime.now(UTC)
    for user_id, role, display_name in (
        (ANN, "member", "Ann Okafor"),
        (GRACE, "admin", "Grace Lindqvist"),
        ("ben", "member", "Ben Haddad"),
        ("mira", "collaborator", "Mira Santos"),
    ):
        await admin.create_user(user_id, role, display_name=display_name)
    await _arrange(service)
    for each in reversed(EXHIBITS):
        await _hang(service, each, now)
    return now


async def _arrange(service: Service) -> None:
    """A role of the company's own, who has it where, and a program."""
    admin = service.admin
    role = {"display_name": "Reviews labels", "permissions": ["labels.read", "projects.read"]}
    made = await admin.do("CreateRole", parent=PARENT, role_id="reviewer", role=role)
    for user, resource in (("mira", "projects/street-signs"), ("ben", "projects/harbour")):
        grant = {"user": f"{PARENT}/users/{user}", "role": made.role.name, "resource": resource}
        await admin.do("CreateGrant", parent=PARENT, grant=grant)
    await admin.create_user(
        "importer", "labeler", email="", kind="USER_KIND_SERVICE", display_name="Importer"
    )


async def _hang(service: Service, exhibit: Exhibit, now: datetime) -> None:
    created = now - exhibit.created
    made = await service.admin.create_key(
        key_id=exhibit.key_id,
        user=f"{PARENT}/users/{exhibit.user}",
        display_name=exhibit.display_name,
        scopes=list(exhibit.scopes),
        resource=exhibit.resource,
        environment=exhibit.environment,
        role=f"{PARENT}/roles/{exhibit.role}" if exhibit.role else "",
    )
    if exhibit.change:
        await service.admin.do(f"{exhibit.change}Key", name=made.key.name)
    await service.quietly(
        """
        UPDATE keywright.key SET create_time = $2::timestamptz,
            creator = owner, creator_user_id = owner_user_id, creator_email = owner_email,
            creator_credential = '', update_time = $2, last_used_time = $3::timestamptz,
            last_used_address = CASE WHEN $3 IS NULL THEN NULL ELSE $5::inet END,
            expire_time = $4
        WHERE key_id = $1
        """,
        *(exhibit.key_id, created, exhibit.used and now - exhibit.used),
        *(exhibit.expires and now + exhibit.expires, _ADDRESS),
    )
    await service.quietly(
        """
        UPDATE keywright.key_secret SET prefix = $2, create_time = $3
        WHERE key = (SELECT id FROM keywright.key WHERE key_id = $1)
        """,
        *(exhibit.key_id, exhibit.prefix, created),
    )


async def dress_sessions(service: Service, now: datetime) -> None:
    """Have sessions seem to be of an ordinary browser, and of some time ago."""
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari"
    rows: list[Any] = await service.quietly("SELECT id FROM keywright.session ORDER BY id DESC")
    for number, row in enumerate(rows):
        await service.quietly(
            """
            UPDATE keywright.session SET user_agent = $2, client_address = $3,
                create_time = $4::timestamptz, last_used_time = $5,
                expire_time = $4::timestamptz + interval '12 hours'
            WHERE id = $1
            """,
            *(row["id"], phone if number % 2 else chrome, _ADDRESS),
            *(now - timedelta(minutes=10 + 70 * number), now),
        )
