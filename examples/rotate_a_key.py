"""Give a key a new token; the old one stands for a day, so that nothing stops meanwhile.

python examples/rotate_a_key.py nightly > new.token
"""

import sys
from datetime import timedelta

from keywright import Client
from keywright.sdk import Aborted, RotatedKey, TokenLost


def rotate(client: Client, key: str) -> RotatedKey:
    """Rotate the key, once more if the token was lost with the reply."""
    grace = timedelta(days=1)
    try:
        return client.keys.rotate(key, grace=grace)
    except TokenLost:
        return client.keys.rotate(key, grace=grace)


def main() -> None:
    """Rotate the key."""
    with Client() as client:
        try:
            rotated = rotate(client, sys.argv[1])
        except Aborted:
            sys.exit("somebody else has rotated it at the same time: theirs is the new token")
    print(f"the old token stands until {rotated.key.retire_time}", file=sys.stderr)
    print(rotated.token.reveal())


if __name__ == "__main__":
    main()
