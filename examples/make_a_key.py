"""Make a key for somebody, for two weeks, and print its token.

    python examples/make_a_key.py ann@acme.example nightly

The token is shown this once: let it go where secrets are kept.
"""

import sys
from datetime import timedelta

from keywright import Client


def main() -> None:
    """Make the key."""
    user, name = sys.argv[1:]
    with Client() as client:  # KEYWRIGHT_URI and KEYWRIGHT_API_KEY, or the configuration file
        created = client.keys.create(name=name, user=user, ttl=timedelta(weeks=2))
    print(f"{created.key.name} expires at {created.key.expire_time}", file=sys.stderr)
    print(created.token.reveal())


if __name__ == "__main__":
    main()
