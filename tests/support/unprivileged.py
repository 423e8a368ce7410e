"""Run commands as an account without rights, when the tests themselves run as root."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keywright.app.embedded.account import Account

CHECKOUT = Path(__file__).resolve().parents[2]

# In a mount namespace of its own, covers each directory that the account may not enter by an empty
# one that it may, and shows inside it only what is needed. Arguments: a scratch directory, uid,
# gid, covered directories, --, shown directories, --, the command.
SHOW_AND_DROP = """
set -e
scratch=$1 uid=$2 gid=$3; shift 3
mount -t tmpfs tmpfs "$scratch"
covered=
while [ "$1" != -- ]; do covered="$covered$1\n"; shift; done; shift
shown=0
for path in "$@"; do
    [ "$path" = -- ] && break
    shown=$((shown + 1)); mkdir "$scratch/$shown"; mount --bind "$path" "$scratch/$shown"
done
printf "$covered" | while read -r path; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
shown=0
while [ "$1" != -- ]; do
    shown=$((shown + 1)); mkdir -p "$1"; mount --bind "$scratch/$shown" "$1"; shift
done; shift
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs "$@"
"""


@contextlib.contextmanager
def directory_others_may_enter() -> Iterator[Path]:
    """Give a new directory that any account may pass through, as none of pytest's may."""
    with tempfile.TemporaryDirectory(prefix="keywright-test-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def command_as(name: str, argv: list[str], scratch: Path) -> list[str]:
    """Return the command that runs `argv` as account `name`, who may then use this checkout.

    Skips the test where that cannot be: not root, or no right to make a mount namespace.

    Args:
        name: an account of this machine.
        argv: the command; it may use this checkout and this Python.
        scratch: an empty directory.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can run a command as another account")
    entry = pwd.getpwnam(name)
    account = Account(entry.pw_uid, entry.pw_gid)
    needed = [Path(sys.base_prefix), Path(sys.prefix), CHECKOUT]
    shown = [path for path in needed if not account.may_enter(path)]
    covered = {
        next(p for p in (*reversed(path.parents), path) if not account.may_enter(p))
        for path in shown
    }
    if shown and subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip(f"{name} may not enter {shown[0]}, and no mount namespace can be made here")
    shell = shutil.which("sh") or "/bin/sh"
    return [
        *("unshare", "--mount", shell, "-c", SHOW_AND_DROP, "sh"),
        *(str(scratch), str(account.uid), str(account.gid)),
        *(*map(str, sorted(covered)), "--", *map(str, shown), "--", *argv),
    ]
