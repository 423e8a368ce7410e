"""How the database runs what is planned once, perhaps while the tables were all but empty."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from keywright.storage import database as storage
from keywright.storage.credentials import BY_PLACE, BY_PREFIX
from keywright.storage.database import Database

TIMEOUT = timedelta(seconds=20)


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from steps(inner)


async def indexes(
    dsn: str, query: str = BY_PREFIX, values: str = "'{0123456789ab}'::text[]"
) -> dict[str, str]:
    """Through which index a look-up goes to which conditions, as planned on an empty database."""
    opened = await Database.open(dsn, size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT)
    try:
        async with opened.reading() as reads:
            connection = reads._connection
            await connection.execute(f"PREPARE look_up AS {query}")
            plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE look_up ({values})")
    finally:
        await opened.close()
    found: dict[str, list[str]] = {}
    for step in steps(json.loads(plan)[0]["Plan"]):
        if "Index Name" in step:
            found.setdefault(step["Index Name"], []).append(step.get("Index Cond", ""))
    return {index: "; ".join(sorted(conditions)) for index, conditions in found.items()}


async def test_a_look_up_planned_on_an_empty_database_goes_through_the_prefix_all_the_same(
    database: str,
) -> None:
    """By the workspace it would read all its keys: cheapest today, slower with each key."""
    used = await indexes(database)
    assert used["key_secret_prefix_unique"].startswith("(prefix = ")
    assert used["key_secret_pkey"] == "(id = e.opening_secret)"
    assert used["key_pkey"] == "(id = COALESCE(s.key, o.key))"
    assert used["workspace_pkey"] == "(id = COALESCE(k.workspace, e.workspace))"
    assert used["user_workspace_unique"] == '(id = COALESCE(k.owner, e."user"))'


async def test_imported_tokens_are_looked_up_through_indexes_as_well(database: str) -> None:
    values = "'{p}', '{DIGEST}', '{0}', '{0}', '{abcd}', '{x}', NULL"
    used = await indexes(database, BY_PLACE, values)
    assert used["key_secret_foreign_prefix_unique"] == "(foreign_prefix = place.prefix)"
    assert used["key_secret_digest_unique"] == "(digest = place.digest)"
    assert used["key_secret_pkey"].startswith("(id = ANY (")
    assert used["key_secret_pkey"].endswith("; (id = e.opening_secret)")
    assert used["key_pkey"] == "(id = COALESCE(s.key, o.key))"


async def test_left_to_itself_the_database_would_read_all_keys_of_the_workspace(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard taken away: what the settings of our connections are for."""
    monkeypatch.setattr(storage, "_PLANS", {"plan_cache_mode": "force_generic_plan"})
    assert "key_pkey" not in await indexes(database)
