"""The one place where randomness comes from; everything else takes it as a parameter."""

import os


def system_entropy(size: int) -> bytes:
    """`size` bytes of the operating system's cryptographic generator (getrandom(2) on Linux).

    It blocks until the kernel's generator is seeded, once after boot, and cannot run dry after.
    Being the kernel's, it never gives two worker processes the same bytes after a fork.
    """
    return os.urandom(size)
