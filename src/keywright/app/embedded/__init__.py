"""A private PostgreSQL server for a first run, for tests and for CI; never for production.

    binaries = locate_binaries(os.environ)
    async with EmbeddedPostgres(Path(".keywright/postgres"), binaries) as dsn:
        ...

It listens on a UNIX socket only, asks for a password (scram-sha-256), and dies with the process
that started it. `running_dsn` lets a second command reach the server that a first one runs.

Who runs it: an ordinary user, as that user. As root, PostgreSQL refuses to run, so the server gets
an existing account without rights: `postgres`, or `nobody` where there is none. (`nobody` may be
shared with other programs, which could then read the data: on such a machine make a `postgres`.)

Where things are, below the data directory that was asked for:

    lock                 held by the running keywright, names its process
    instance/            complete or absent: made under another name, then renamed
        data/            PostgreSQL's data directory, of the server's account, 0700
        password         of the operator, 0600
        pg_hba.conf      who may log in: the role `keywright`, by password
        server.log       of the current run
        socket           a directory of the server's account, 0700; or a link to a short-named one
                         below /tmp where a socket's path would be longer than the 107 bytes allowed
    relocated            instead of the two above: a link to the place below
                         /var/lib/keywright-embedded where they are, when root asked for a directory
                         that the server's account may not enter (as below /root)

`/var/lib/keywright-embedded/postgresql` holds a copy of the PostgreSQL programs where that account
may not enter the virtual environment they were installed in.
"""

from keywright.app.embedded.binaries import Binaries, locate_binaries
from keywright.app.embedded.errors import EmbeddedPostgresError
from keywright.app.embedded.server import EmbeddedPostgres, running_dsn

__all__ = [
    "Binaries",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "locate_binaries",
    "running_dsn",
]
