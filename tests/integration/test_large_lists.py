"""Entries that are large make a page short, not impossible."""

from tests.support.database import Cluster
from tests.support.service import service

LABELS = {f"label-{number}": "x" * 256 for number in range(64)}  # about 17 KiB an entry


async def test_every_user_is_listed_though_a_page_of_them_would_exceed_a_reply(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), max_response_bytes="64KiB") as small:
        for number in range(8):
            await small.admin.create_user(f"user-{number}", labels=LABELS)
        seen: list[str] = []
        token = ""
        pages = 0
        while token or not pages:
            reply = await small.admin.list_users(page_token=token, page_size=1000)
            assert reply.users
            seen += [user.name for user in reply.users]
            token, pages = reply.next_page_token, pages + 1
        assert sorted(seen) == sorted(set(seen))
        assert len(seen) == 9
        assert pages == 3
