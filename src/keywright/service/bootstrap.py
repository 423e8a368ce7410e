"""The first workspace with its first admin, and a new key for an admin who lost every key.

Not reachable over the network: whoever can run this has the database's own credentials.
"""

from dataclasses import dataclass

from keywright.domain.audit import time_value
from keywright.domain.creation import check_environment, check_owner
from keywright.domain.errors import NotFound, invalid_field
from keywright.domain.identity import mint_id
from keywright.domain.keys import Narrowing
from keywright.domain.names import UserName, is_email, is_id
from keywright.domain.secret import Secret
from keywright.domain.sessions import LINK_LIFETIME, LINK_WORD
from keywright.domain.token import Token, TokenFormat, mint_parts
from keywright.service import user_requests, workspace_requests
from keywright.service.admins import insert_first_admin
from keywright.service.key_records import described
from keywright.service.minting import Mint, MintedSecret
from keywright.service.sign_in import link_digest
from keywright.storage.audit import AuditEvent
from keywright.storage.database import Database, Writes
from keywright.storage.key_changes import NewKey

_ACTOR = "bootstrap"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Works on a migrated database."""

    database: Database
    mint: Mint
    token_format: TokenFormat

    async def first_admin(self, workspace_id: str, email: str) -> Secret[str] | None:
        """Create a workspace and its admin with a key; returns the key's token, once.

        The workspace `system` is there already: its first admin is the first operator. None, and
        nothing is changed, if the workspace has users, or was deleted.

        Raises:
            InvalidFields: an id or e-mail that cannot be one.
        """
        if not is_id(workspace_id):
            raise invalid_field("workspace", "must be an id such as default")
        if not is_email(email):
            raise invalid_field("admin", "must be an e-mail address such as a@b.example")

        async def transaction(writes: Writes) -> Secret[str] | None:
            created = await writes.workspaces.insert(workspace_id)
            workspace = await writes.read.workspaces.get(workspace_id)
            if workspace is None or await writes.read.workspaces.has_users(workspace.internal_id):
                return None
            admin = await insert_first_admin(writes, workspace, email)
            if created is not None:
                await writes.audit.insert(
                    _event(
                        workspace_id,
                        "CreateWorkspace",
                        workspace.name,
                        after=workspace_requests.described(workspace),
                    )
                )
            await writes.audit.insert(
                _event(workspace_id, "CreateUser", admin.name, after=user_requests.described(admin))
            )
            return await self._insert_key(writes, admin.name, minted)

        minted = await self.mint.secret()
        return await self.database.writing(transaction)

    async def admin_key(self, name: UserName) -> Secret[str]:
        """Create one more key for a user, and return its token.

        Raises:
            NotFound: there is no such user.
        """
        minted = await self.mint.secret()
        return await self.database.writing(lambda writes: self._insert_key(writes, name, minted))

    async def sign_in_link(self, name: UserName) -> Secret[str]:
        """Make a link that signs a person in, once, and return what it carries.

        Raises:
            NotFound: there is no such user.
        """
        prefix, secret = mint_parts(self.mint.entropy)

        async def transaction(writes: Writes) -> None:
            owner = await writes.read.users.owner(name.workspace, name.user)
            if owner is None:
                raise NotFound(str(name))
            ends = await writes.sessions.insert_link(
                owner.user.internal_id,
                prefix,
                link_digest(secret),
                lifetime=LINK_LIFETIME,
                not_after=None,
            )
            after = {"expire_time": time_value(ends)}
            event = _event(name.workspace, "CreateSignInLink", owner.user.name, after=after)
            await writes.audit.insert(event)

        await self.database.writing(transaction)
        return self.token_format.render(Token(LINK_WORD, prefix, secret))

    async def _insert_key(
        self, writes: Writes, name: UserName, minted: MintedSecret
    ) -> Secret[str]:
        workspace = await writes.read.workspaces.get(name.workspace)
        user = await writes.read.users.get(name.workspace, name.user)
        if workspace is None or user is None:
            raise NotFound(str(name))
        check_owner(user)
        environment = check_environment(workspace, "")
        seen = await writes.read.workspaces.now(workspace.internal_id)
        new = NewKey(
            key_id=mint_id(self.mint.entropy),
            owner=user,
            creator=user,
            creator_credential="",
            display_name="made on the server",
            environment=environment,
            narrowing=Narrowing(),
            labels={},
            rate_limit=None,
            expire_time=None,
            prefix=minted.prefix,
            hashed=minted.hashed,
            create_time=seen.now,
        )
        after = described(new.key, seen.now)
        event = _event(name.workspace, "CreateKey", new.key.name, after=after)
        await writes.keys.insert(new, event)
        return self.token_format.render(minted.token(environment))


def _event(workspace_id: str, action: str, resource: object, **change: object) -> AuditEvent:
    return AuditEvent(workspace_id, action, str(resource), _ACTOR, "", change=change)
