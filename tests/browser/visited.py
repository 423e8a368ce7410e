"""Every page of the console, found in its router, and what has to be there for it to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from starlette.routing import Route

from keywright.console.app import routes
from keywright.console.static_files import StaticFiles
from tests.support.service import ADMIN, PARENT, Service

NO_PAGES = {"/", "/healthz", "/static/{name}"}
# Without what the provider sends along they lead to the provider, and back to signing in.
OF_THE_PROVIDER = {"/sign-in/openid-connect", "/sign-in/openid-connect/callback"}


@cache
def paths() -> list[str]:
    """The paths of all pages, as the router has them."""
    found = routes(StaticFiles())
    assert all(isinstance(each, Route) for each in found), "a mount hides routes"
    every = {
        each.path for each in found if isinstance(each, Route) and "GET" in (each.methods or ())
    }
    return sorted(every - NO_PAGES - OF_THE_PROVIDER)


@dataclass(frozen=True)
class Examples:
    """Something to look at for each kind of path; an admin's."""

    by_family: Mapping[str, str]

    def address(self, path: str) -> str:
        """An address that the path stands for.

        Raises:
            AssertionError: nobody has said what to look at there.
        """
        family = path.split("/")[1]
        if "{" not in path:
            return path
        assert family in self.by_family, f"tests/browser/visited.py needs an example for {path}"
        filled = path.replace("{id}", self.by_family[family])
        assert "{" not in filled, f"tests/browser/visited.py needs an example for {path}"
        return filled


async def examples(service: Service) -> Examples:
    """Put something on each page of a new server."""
    admin = service.admin
    await admin.create_user("ann")
    key = await admin.create_key(
        key_id="example",
        display_name="CI of the website",
        scopes=["datasets.read", "projects.*"],
        resource="projects/abc",
        allowed_networks=["192.0.2.0/24"],
        labels={"team": "web"},
    )
    for number, state in enumerate(("Disable", "Revoke", "")):
        made = await admin.create_key(
            user=f"{PARENT}/users/ann", display_name=f"Key number {number}", key_id=f"n-{number}"
        )
        if state:
            await admin.do(f"{state}Key", name=made.key.name)
    role = await admin.do(
        "CreateRole",
        parent=PARENT,
        role_id="reviewer",
        role={"display_name": "Reviews labels", "permissions": ["labels.read", "projects.read"]},
    )
    grant = await admin.do(
        "CreateGrant",
        parent=PARENT,
        grant={
            "user": f"{PARENT}/users/ann",
            "role": role.role.name,
            "resource": "projects/abc",
        },
    )
    await admin.create_user("robot", email="", kind="USER_KIND_SERVICE")
    link = (await admin.do("CreateSignInLink", user=ADMIN)).link_token
    session = (await service.as_caller(None).do("CreateSession", link_token=link)).session
    events = await admin.do("ListAuditEvents", parent=PARENT, page_size=1)
    return Examples(
        {
            "audit": events.audit_events[0].name.rpartition("/")[2],
            "keys": key.key.name.rpartition("/")[2],
            "sessions": session.name.rpartition("/")[2],
            "users": "ann",
            "roles": "reviewer",
            "grants": grant.grant.name.rpartition("/")[2],
        }
    )
