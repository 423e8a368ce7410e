"""Say who presents each of the tokens on stdin, a hundred at a time.

    python examples/check_tokens.py datasets.read < tokens.txt

Answers come in the order of the tokens. Whoever must answer faster than a round trip allows asks a
leased cache instead.
"""

import asyncio
import sys
from collections.abc import Sequence

from keywright import AsyncClient
from keywright.sdk import PermissionDenied, Unauthenticated

AT_ONCE = 100


async def check(client: AsyncClient, token: str, permissions: Sequence[str]) -> str:
    """Who presents the token, or why it is denied; anything else that goes wrong is raised."""
    try:
        principal = await client.authenticate(token, required_permissions=permissions)
    except (Unauthenticated, PermissionDenied) as denied:
        return f"denied: {denied.reason}"
    return principal.user.email or principal.user.name


async def main() -> None:
    """Check the tokens."""
    tokens = sys.stdin.read().split()
    async with AsyncClient() as client:
        for first in range(0, len(tokens), AT_ONCE):
            some = tokens[first : first + AT_ONCE]
            answers = (check(client, token, sys.argv[1:]) for token in some)
            print(*await asyncio.gather(*answers), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
