"""How the database runs what is planned once, perhaps while the tables were all but empty."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from keywright.storage.credentials import BY_PREFIX
from keywright.storage.database import Database

TIMEOUT = timedelta(seconds=20)


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from steps(inner)


async def test_the_look_up_goes_through_the_prefix_also_when_it_was_planned_on_an_empty_database(
    database: str,
) -> None:
    """By the workspace it would read all keys of it: cheapest today, and slower with each key."""
    opened = await Database.open(
        database, size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT
    )
    try:
        async with opened.reading() as reads:
            connection = reads._connection
            await connection.execute(f"PREPARE look_up AS {BY_PREFIX}")
            found = await connection.fetchval(
                "EXPLAIN (FORMAT JSON) EXECUTE look_up ('{0123456789ab}'::text[])"
            )
    finally:
        await opened.close()
    [top] = json.loads(found)
    used = {step["Relation Name"]: step for step in steps(top["Plan"]) if "Relation Name" in step}
    assert used["key_secret"]["Index Name"] == "key_secret_prefix_unique"
    assert used["key"]["Index Name"] == "key_pkey"
    assert used["workspace"]["Index Name"] == "workspace_pkey"
    assert used["user"]["Node Type"] == "Index Scan"
    assert not {step["Node Type"] for step in steps(top["Plan"])} & {"Hash Join", "Merge Join"}
