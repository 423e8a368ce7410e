"""List keys that nobody has used for some days, and revoke them if asked to.

python examples/unused_keys.py 90
python examples/unused_keys.py 90 --revoke
"""

import sys
from datetime import UTC, datetime, timedelta

from keywright import Client


def main() -> None:
    """List the keys, or revoke them."""
    since = datetime.now(UTC) - timedelta(days=int(sys.argv[1]))
    with Client() as client:
        for key in client.keys.list(unused_since=since, order_by="last_used_time"):
            used = f"{key.last_used_time:%Y-%m-%d}" if key.last_used_time else "never"
            print(f"{key.id}  {key.display_name or '-'}  {key.user_email}  last used: {used}")
            if "--revoke" in sys.argv:
                client.keys.revoke(key.name)  # when this returns the key is dead everywhere


if __name__ == "__main__":
    main()
