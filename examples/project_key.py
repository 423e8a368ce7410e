"""See to it that a project has a key of its own that may read labels, and list its keys.

    python examples/project_key.py abc

It may run each time that something is deployed: the key is made once.
"""

import asyncio
import sys

from keywright import AsyncClient


async def main() -> None:
    """Ensure the key."""
    project = sys.argv[1]
    async with AsyncClient() as client:
        key = await client.keys.ensure(
            f"labels-of-{project}", resource=f"projects/{project}", scopes=["labels.read"]
        )
        if key.token is not None:  # made by this very call, and shown this once
            print(f"token: {key.token.reveal()}")
        async for each in client.keys.list(resource=f"projects/{project}"):
            print(f"{each.id}: {', '.join(each.scopes)}")


if __name__ == "__main__":
    asyncio.run(main())
