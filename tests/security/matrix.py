"""The page `permission_matrix.md`, read; and the callers that are its columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.security.contract import new_id
from tests.security.operated import OPERATORS, Operated
from tests.support.service import PARENT, Caller

PAGE = Path(__file__).with_name("permission_matrix.md")
PROJECT = "projects/a"
GRANTED = ("viewer", "editor", "manager")
COLUMNS = (
    *("guest", "labeler", "collaborator", "member", "admin", "authenticator"),
    *(*GRANTED, "operator"),
)
UNIMPLEMENTED = "unimplemented"
# How each answer of a cell is told on the wire; the others are told by what is in a reply.
REASONS = {
    "no": "CALLER_PERMISSION_MISSING",
    "hidden": "RESOURCE_NOT_FOUND",
    "-": "CALLER_CREDENTIAL_INVALID",
    "exceeds": "AUTHORITY_EXCEEDED",
    "built-in": "BUILT_IN_IMMUTABLE",
    "invalid": "FIELD_INVALID",
}
ANSWERS = {*REASONS, "yes", "left out"}


@dataclass(frozen=True)
class Row:
    """One row: a method, of which service, called for what; the answer to each column."""

    service: str
    method: str
    what: str
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method}-{self.what}" if self.what else self.method

    @property
    def is_unimplemented(self) -> bool:
        return self.answers[0] == UNIMPLEMENTED


def rows() -> list[Row]:
    """The rows of all services."""
    found = [
        Row(section, cells[0], cells[1], tuple(cells[2:]))
        for section, header, cells in _tables()
        if header == ["method", "whose, or what", *COLUMNS]
    ]
    for row in found:
        assert len(row.answers) == len(COLUMNS), row
        if row.is_unimplemented:
            assert not any(row.answers[1:]), row
        else:
            assert ANSWERS.issuperset(row.answers), row
    return found


def own_roles() -> dict[str, str]:
    """Each built-in role, and whether keys of users whose role it is stand."""
    return {cells[0]: cells[1] for section, _, cells in _tables() if section == "Users' own roles"}


def _tables() -> Iterator[tuple[str, list[str], list[str]]]:
    """Section, header and cells of every row of every table on the page."""
    section = ""
    header: list[str] = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not header:
            header = cells
        elif set(line) - set("|- "):
            yield section, header, cells


@dataclass(frozen=True)
class Actor:
    """Who is in a column: a user `user` in the workspace `home`, where `admin` may do all.

    `owner` is whose keys are "own" there: nobody can create another one for a guest.
    """

    caller: Caller
    user: str
    home: str
    admin: Caller
    owner: str


@dataclass(frozen=True)
class World:
    """What the rows are about."""

    service: Operated
    another: str
    service_user: str
    actors: dict[str, Actor]

    @property
    def admin(self) -> Caller:
        return self.service.admin


async def populated(service: Operated) -> World:
    """A world with an actor for each column."""
    another = await service.admin.create_user(new_id("another"))
    service_user = await new_service_user(service.admin, PROJECT)
    await grant(service.admin, service_user, PROJECT, "viewer")
    actors = {column: await new_actor(service, column, another.name) for column in COLUMNS}
    return World(service, another.name, service_user, actors)


async def new_actor(service: Operated, column: str, another: str) -> Actor:
    """One more user as the column says."""
    admin, home = service.admin, PARENT
    role = "collaborator" if column in GRANTED else "admin" if column == "operator" else column
    if column == "operator":
        admin, home = service.operator, OPERATORS
    lasting = "member" if role == "guest" else role  # who has a key before the role is taken away
    user_id = new_id(column)
    user = {"email": f"{user_id}@example.com", "role": f"{home}/roles/{lasting}"}
    name = (await admin.do("CreateUser", parent=home, user_id=user_id, user=user)).user.name
    created = await admin.do("CreateKey", parent=home, key={"user": name})
    owner = name
    if column in GRANTED:
        await grant(admin, name, PROJECT, column)
    if role == "guest":
        await admin.do("UpdateUser", user={"name": name, "role": f"{home}/roles/guest"})
        owner = another
    return Actor(service.as_caller(created.token), name, home, admin, owner)


async def new_service_user(admin: Caller, resource: str) -> str:
    """A service user of a resource; returns its name."""
    user = {"kind": "USER_KIND_SERVICE", "resource": resource}
    created = await admin.do("CreateUser", parent=PARENT, user_id=new_id("service"), user=user)
    return str(created.user.name)


async def grant(admin: Caller, user: str, resource: str, role: str) -> str:
    """Give a user of the admin's workspace a role on a resource; returns the grant's name."""
    home = user.partition("/users/")[0]
    wanted = {"user": user, "resource": resource, "role": f"{home}/roles/{role}"}
    return str((await admin.do("CreateGrant", parent=home, grant=wanted)).grant.name)
