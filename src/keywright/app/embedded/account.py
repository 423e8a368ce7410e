"""The operating system's account that the server runs as."""

import asyncio
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keywright.app.embedded.errors import EmbeddedPostgresError

PREFERRED_ACCOUNTS = ("postgres", "nobody")

# Nothing of the operator's environment reaches the server. TZ also spares initdb a search through
# every time zone; LC_ALL=C keeps its messages in one language.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group id. Programs run as it have its rights only, no supplementary groups."""

    uid: int
    gid: int

    @classmethod
    def for_new_data(cls) -> "Account":
        """Return our own account or, as root, which PostgreSQL refuses, one without rights."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        for name in PREFERRED_ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            if entry.pw_uid != 0:
                return cls(entry.pw_uid, entry.pw_gid)
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this machine has neither an account "
            f"{' nor '.join(PREFERRED_ACCOUNTS)} to run it as. Run keywright as an ordinary user."
        )

    @classmethod
    def owning(cls, path: Path) -> "Account":
        """Return the account that existing data belongs to: PostgreSQL runs as no other."""
        status = path.lstat()
        return cls(status.st_uid, status.st_gid)

    @property
    def name(self) -> str:
        """How to call the account in messages."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    def may_enter(self, directory: Path) -> bool:
        """Say whether the account can reach and enter `directory`, going by the permissions."""
        if self.uid == os.geteuid():
            return True
        for path in (directory, *directory.parents):
            status = path.stat()
            if status.st_uid == self.uid:
                needed = stat.S_IXUSR
            elif status.st_gid == self.gid:
                needed = stat.S_IXGRP
            else:
                needed = stat.S_IXOTH
            if not status.st_mode & needed:
                return False
        return True

    def spawn(
        self, *argv: str | Path, stdin: int = subprocess.DEVNULL, output: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a program as the account, in a session of its own: Ctrl-C does not reach it.

        `subprocess` rather than `asyncio.subprocess`: uvloop's knows no `user`.

        Raises:
            PermissionError: the account may not execute it.
        """
        drop = self.uid != os.geteuid()
        return subprocess.Popen(  # noqa: S603 - our own programs; no shell
            argv,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",  # ours may be one that the account cannot enter
            env=ENVIRONMENT,
            start_new_session=True,
            umask=0o077,
            user=self.uid if drop else None,
            group=self.gid if drop else None,
            extra_groups=[] if drop else None,
        )

    async def run(self, *argv: str | Path, stdin: str = "") -> None:
        """Run a program to its end.

        Raises:
            PermissionError: the account may not execute it.
            EmbeddedPostgresError: it failed; the message ends with what it printed.
        """
        process = self.spawn(*argv, stdin=subprocess.PIPE, output=subprocess.PIPE)
        try:
            output, _ = await asyncio.to_thread(process.communicate, stdin.encode())
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0:
            raise EmbeddedPostgresError(
                f"{argv[0]} failed ({process.returncode}), run as {self.name}:\n{tail(output)}"
            )


def tail(output: bytes, lines: int = 20) -> str:
    """Return the last lines of what a program printed, indented, for an error message."""
    last = output.decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (it printed nothing)"
