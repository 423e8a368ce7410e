"""What the database itself guarantees, and what its failures mean."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from keywright.domain.directory import UserKind
from keywright.domain.errors import InvalidFields, Reason, ServiceError, Unavailable
from keywright.storage.credentials import BY_PREFIX
from keywright.storage.database import Database, Writes
from keywright.storage.failures import UnexpectedDatabaseError
from keywright.storage.users import NewUser
from tests.support.database import Cluster

TIMEOUT = timedelta(seconds=20)
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module", name="dsn")
async def _dsn(cluster: Cluster) -> str:
    """The DSN of a database of this module's own; each test leaves it as it was."""
    return await cluster.migrated()


@pytest.fixture(name="storage")
async def _storage(dsn: str) -> AsyncIterator[Database]:
    """Our own way to the database."""
    opened = await Database.open(dsn, size=4, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT)
    yield opened
    await opened.close()


@pytest.fixture(name="connection")
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    """A plain connection to the same database, in autocommit."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture(name="undone")
async def _undone(connection: Connection) -> AsyncIterator[Connection]:
    """The same, in a transaction that is rolled back in the end."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


# --- invariants -------------------------------------------------------------------------------

# Two workspaces with a role, a user and a key each. Public ids tell which is which.
POPULATED = """
    INSERT INTO keywright.workspace (workspace_id) VALUES ('w1'), ('w2');
    INSERT INTO keywright.role (workspace, role_id, permissions, may_hold_keys)
    SELECT id, 'own-' || workspace_id, '{}', true FROM keywright.workspace
    WHERE workspace_id IN ('w1', 'w2');
    INSERT INTO keywright.user (workspace, user_id, kind, email, email_key, external_id,
                                role, role_scope)
    SELECT w.id, 'u-' || workspace_id, 'HUMAN', 'a@example.com', 'a@example.com', 'x', r.id, r.scope
    FROM keywright.workspace w JOIN keywright.role r ON r.workspace = w.id;
    INSERT INTO keywright.key
        (workspace, key_id, owner, owner_user_id, creator_user_id, environment)
    SELECT workspace, replace(user_id, 'u', 'k'), id, user_id, user_id, 'live' FROM keywright.user;
    INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash)
    SELECT id, lpad(id::text, 12, '0'), '12345678', '' FROM keywright.key;
    INSERT INTO keywright.session (workspace, session_id, "user", method, idle_timeout,
                                   create_time, expire_time, last_used_time)
    SELECT workspace, replace(user_id, 'u', 's'), id, 'LINK', '1 hour',
           now(), now() + interval '12 hours', now() FROM keywright.user;
    INSERT INTO keywright.key_secret (session, prefix, verifier_tag, hash)
    SELECT id, 'S' || lpad(id::text, 11, '0'), '12345678', '' FROM keywright.session;
    INSERT INTO keywright.sign_in_link (workspace, "user", prefix, digest, expire_time)
    SELECT workspace, id, lpad(id::text, 12, '0'), sha256(''), now() FROM keywright.user;
    INSERT INTO keywright.token_format (workspace, pattern, lookup, prefix_length, hash_offset)
    SELECT id, '[a-z]{40}', 'PREFIX', 8, 0 FROM keywright.workspace WHERE workspace_id = 'w2';
    INSERT INTO keywright.key_secret (key, format, foreign_prefix, digest, hash)
    SELECT k.id, f.id, way.prefix, way.digest, '' FROM keywright.key k, keywright.token_format f,
        (VALUES ('abcdefgh', NULL), (NULL, decode(repeat('00', 32), 'hex'))) AS way (prefix, digest)
    WHERE k.key_id = 'k-w2';
    INSERT INTO keywright.grant (workspace, grant_id, "user", resource, role, role_scope)
    SELECT workspace, replace(user_id, 'u', 'g'), id, 'projects/a', role, role_scope
    FROM keywright.user;
    INSERT INTO keywright.authority_change (revision, tag, kind, changed)
    VALUES (1, gen_random_uuid(), 'key', 1);
    INSERT INTO keywright.pepper (version, fingerprint) VALUES (1, '');
    INSERT INTO keywright.request_id (actor, method, request_id, digest)
    VALUES (1, 'CreateKey', 'r', sha256(''));
    INSERT INTO keywright.key_usage (key, hour, outcome, count, workspace, key_id)
    SELECT id, '2026-01-01 12:00Z', 'ALLOWED', 1, workspace, key_id FROM keywright.key;
    INSERT INTO keywright.notice (subject, notice_time) VALUES ('s', now());
    INSERT INTO keywright.audit_event (workspace_id, action, resource, actor, credential)
    VALUES ('w1', 'CreateKey', 'workspaces/w1/keys/k-w1', '', '');
    INSERT INTO keywright.audit_seal
        (workspace_id, number, create_time, month, previous, event_count, event_ids, leaves, root,
         digest, signature, public_key)
    VALUES ('w1', 1, now(), now(), '', 1, '{1}', sha256(''), '', '', '', '');
    INSERT INTO keywright.audit_chain (workspace_id, number, digest) VALUES ('w1', 1, '');
"""
_OF_A_SEAL = (
    "workspace_id, number, create_time, month, previous, event_count, event_ids, leaves, root, "
    "digest, signature, public_key"
)


def change(table: str, assignment: str) -> str:
    """Change the row of w1 in a table."""
    which = {
        "workspace": "workspace_id = 'w1'",
        "role": "role_id = 'own-w1'",
        "user": "user_id = 'u-w1'",
        "grant": "grant_id = 'g-w1'",
        "key": "key_id = 'k-w1'",
        "session": "session_id = 's-w1'",
        "key_secret": "key = (SELECT id FROM keywright.key WHERE key_id = 'k-w1')",
    }.get(table, "true")
    return f"UPDATE keywright.{table} SET {assignment} WHERE {which}"


def again(table: str, columns: str, values: str | None = None) -> str:
    """Insert the rows of a table once more, in these columns or with these values."""
    return (
        f"INSERT INTO keywright.{table} ({columns}) "
        f"SELECT {values or columns} FROM keywright.{table}"
    )


ROLE_OF_W2 = "(SELECT id FROM keywright.role WHERE role_id = 'own-w2')"
SCOPE_OF_W2 = "(SELECT scope FROM keywright.role WHERE role_id = 'own-w2')"
USER_OF_W2 = "(SELECT id FROM keywright.user WHERE user_id = 'u-w2')"
USER = "workspace, kind, email, email_key, role, role_scope"
KEY = "workspace, owner_user_id, creator_user_id, environment"
FOREIGN = "key, format, foreign_prefix, digest, hash"
SESSION = (
    'workspace, session_id, "user", method, idle_timeout, create_time, expire_time, last_used_time'
)
LINK = 'workspace, "user", prefix, digest, expire_time'
SHAPE = "workspace, pattern, lookup, prefix_length, hash_offset"
OF_FOREIGN = "UPDATE keywright.key_secret SET {} WHERE format IS NOT NULL"

# Every constraint of the schema by its name, with a statement that only it forbids.
FORBIDDEN: dict[str, str] = {
    "installation_is_one_row": change("installation", "singleton = false"),
    "installation_signing_key_is_long": change("installation", "signing_key = 'short'"),
    "installation_lease_length_range": change("installation", "lease_length = '61 seconds'"),
    "installation_pkey": again("installation", "singleton, signing_key, audit_signing_key"),
    "installation_audit_signing_key_size": change("installation", "audit_signing_key = 'short'"),
    "audit_event_seal_positive": change("audit_event", "seal = 0"),
    "audit_event_times_readable": change("audit_event", "create_time = 'infinity'"),
    "audit_seal_pkey": again("audit_seal", _OF_A_SEAL),
    "audit_seal_number_positive": change("audit_seal", "number = 0"),
    "audit_seal_has_events": change("audit_seal", "event_count = 0, event_ids = '{}', leaves = ''"),
    "audit_seal_is_whole": change("audit_seal", "leaves = ''"),
    "audit_seal_ids_known": change("audit_seal", "event_ids = '{NULL}'"),
    "audit_seal_times_readable": change("audit_seal", "month = '10000-01-01'"),
    "audit_chain_pkey": again("audit_chain", "workspace_id, number, digest"),
    "pepper_pkey": again("pepper", "version, fingerprint"),
    "pepper_version_positive": change("pepper", "version = 0"),
    "request_id_pkey": again("request_id", "actor, method, request_id, digest"),
    "request_id_digest_length": change("request_id", "digest = ''"),
    "workspace_id_unique": again("workspace", "workspace_id"),
    "workspace_id_form": change("workspace", "workspace_id = 'W1'"),
    "workspace_state_known": change("workspace", "state = 'GONE'"),
    "workspace_environments_given": change("workspace", "environments = '{}'"),
    "workspace_max_ttl_range": change("workspace", "max_ttl = '59 seconds'"),
    "workspace_default_ttl_range": change("workspace", "max_ttl = '1 day', default_ttl = '2 days'"),
    "workspace_max_keys_per_user_range": change("workspace", "max_keys_per_user = 0"),
    "workspace_key_creation_known": change("workspace", "key_creation = 'NOBODY'"),
    "workspace_rotation_reminder_range": change("workspace", "rotation_reminder = '23 hours'"),
    "role_id_unique": again("role", "workspace, role_id, permissions, may_hold_keys"),
    "role_workspace_exists": again("role", "workspace, role_id, permissions, may_hold_keys",
                                   "999999, role_id, permissions, may_hold_keys"),
    "role_id_form": change("role", "role_id = '-x'"),
    "user_id_unique": again("user", f"user_id, {USER}", "user_id, workspace, kind, email || 2, "
                            "email_key || 2, role, role_scope"),
    "user_email_unique": again("user", f"user_id, {USER}", f"user_id || 2, {USER}"),
    "user_external_id_unique": again(
        "user", f"user_id, external_id, {USER}",
        "user_id || 2, external_id, workspace, kind, email || 2, email_key || 2, role, role_scope",
    ),
    "user_workspace_exists": "INSERT INTO keywright.user "
        "(workspace, user_id, kind, role, role_scope) "
        "SELECT 999999, 'x', 'SERVICE', id, scope FROM keywright.role WHERE role_id = 'guest'",
    "user_role_exists": change("user", "role_scope = 0"),
    "user_role_is_of_workspace": change("user", f"role = {ROLE_OF_W2}, role_scope = {SCOPE_OF_W2}"),
    "user_id_form": change("user", "user_id = 'a b'"),
    "user_kind_known": change("user", "kind = 'ROBOT'"),
    "user_state_known": change("user", "state = 'GONE'"),
    "user_role_whole": change("user", "role_scope = NULL"),
    "user_role_or_resource": change("user", "role = NULL, role_scope = NULL"),
    "user_resource_is_for_services": change(
        "user", "role = NULL, role_scope = NULL, resource = 'projects/a'"
    ),
    "user_email_normalised": change("user", "email_key = NULL"),
    "user_human_has_email": change("user", "email = NULL, email_key = NULL"),
    "grant_id_unique": again("grant", 'workspace, grant_id, "user", resource, role, role_scope',
                             "workspace, grant_id, \"user\", 'b', role, role_scope"),
    "grant_once": again("grant", 'workspace, grant_id, "user", resource, role, role_scope',
                        'workspace, grant_id || 2, "user", resource, role, role_scope'),
    "grant_user_exists": change("grant", f'"user" = {USER_OF_W2}'),
    "grant_role_exists": change("grant", "role_scope = 0"),
    "grant_role_is_of_workspace": change(
        "grant", f"role = {ROLE_OF_W2}, role_scope = {SCOPE_OF_W2}"
    ),
    "grant_resource_given": change("grant", "resource = ''"),
    "key_id_unique": again("key", f"key_id, {KEY}"),
    "key_workspace_exists": change("key", "workspace = 999999, owner = NULL"),
    "key_owner_exists": change("key", f"owner = {USER_OF_W2}"),
    "key_creator_exists": change("key", f"creator = {USER_OF_W2}"),
    "key_role_exists": change("key", f"role = {ROLE_OF_W2}, role_scope = 0"),
    "key_role_is_of_workspace": change("key", f"role = {ROLE_OF_W2}, role_scope = {SCOPE_OF_W2}"),
    "key_role_whole": change("key", "role_scope = 0"),
    "key_id_form": change("key", "key_id = ''"),
    "key_state_known": change("key", "state = 'EXPIRED'"),
    "key_revoked_has_time": change("key", "state = 'REVOKED'"),
    "key_rate_whole": change("key", "rate_requests = 1"),
    "key_rate_range": change("key", "rate_requests = 0, rate_period = '1 second'"),
    "key_secret_prefix_unique": again("key_secret", "key, prefix, verifier_tag, hash"),
    "key_secret_key_exists": change("key_secret", "key = 999999"),
    "key_secret_pepper_exists": change("key_secret", "pepper_version = 9"),
    "key_secret_prefix_form": change("key_secret", "prefix = 'short'"),
    "key_secret_verifier_tag_length": change("key_secret", "verifier_tag = '1234567'"),
    "key_secret_format_exists": OF_FOREIGN.format("format = 999999"),
    "key_secret_is_found_one_way": OF_FOREIGN.format("foreign_prefix = NULL, digest = NULL"),
    "key_secret_is_ours_or_foreign": change("key_secret", "format = (SELECT max(id) "
                                            "FROM keywright.token_format)"),
    "key_secret_tag_given": change("key_secret", "verifier_tag = NULL"),
    "key_secret_foreign_prefix_length": OF_FOREIGN.format("foreign_prefix = 'abc', digest = NULL"),
    "key_secret_digest_length": OF_FOREIGN.format("foreign_prefix = NULL, digest = 'x'"),
    "key_secret_foreign_prefix_unique": again("key_secret", FOREIGN) + " WHERE digest IS NULL"
                                        " AND format IS NOT NULL",
    "key_secret_digest_unique": again("key_secret", FOREIGN) + " WHERE digest IS NOT NULL",
    "key_secret_session_exists": "UPDATE keywright.key_secret SET session = 999999 "
        "WHERE session = (SELECT id FROM keywright.session WHERE session_id = 's-w1')",
    "key_secret_is_of_one": change("key_secret", "session = (SELECT max(id) "
                                   "FROM keywright.session)"),
    "key_secret_by_session": again("key_secret", "session, prefix, verifier_tag, hash",
                                   "session, 'Z' || substr(prefix, 2), verifier_tag, hash")
                             + " WHERE session IS NOT NULL",
    "session_id_unique": again("session", SESSION),
    "session_user_exists": change("session", f'"user" = {USER_OF_W2}'),
    "session_id_form": change("session", "session_id = 'S'"),
    "session_method_known": change("session", "method = 'MAGIC'"),
    "session_idle_timeout_positive": change("session", "idle_timeout = '0'"),
    "session_opening_secret_exists": change("session", "method = 'KEY', opening_secret = 999999"),
    "session_opened_by_key": change("session", "method = 'LINK', opening_secret = 1"),
    "session_ends_after_its_beginning": change("session", "expire_time = create_time - interval "
                                               "'1 second'"),
    "sign_in_link_prefix_unique": again("sign_in_link", LINK),
    "sign_in_link_user_exists": change("sign_in_link", f'"user" = {USER_OF_W2}'),
    "sign_in_link_prefix_form": change("sign_in_link", "prefix = 'short'"),
    "sign_in_link_digest_length": change("sign_in_link", "digest = ''"),
    "token_format_once": again("token_format", SHAPE),
    "token_format_workspace_exists": change("token_format", "workspace = 999999"),
    "token_format_lookup_known": change("token_format", "lookup = 'OTHER', prefix_length = 0"),
    "token_format_prefix_range": change("token_format", "prefix_length = 3"),
    "token_format_hash_offset_range": change("token_format", "hash_offset = 129"),
    "key_usage_pkey": again("key_usage", "key, hour, outcome, count, workspace, key_id"),
    "key_usage_hour_is_full": change("key_usage", "hour = '2026-01-01 12:00:01Z'"),
    "key_usage_count_positive": change("key_usage", "count = 0"),
    "notice_pkey": again("notice", "subject, notice_time"),
    "authority_revision_is_one_row": change("authority_revision", "singleton = false"),
    "authority_revision_pkey": again("authority_revision", "singleton"),
    "authority_change_pkey": again("authority_change", "revision, tag, kind, changed"),
    "authority_change_kind_known": change("authority_change", "kind = 'lease'"),
}  # fmt: skip

# Primary keys over columns that the database fills in, unique constraints that only foreign keys
# point at, and the bookkeeping of the migrations.
NOT_TRIED = {
    *(f"{table}_pkey" for table in ("workspace", "role", "user", "grant", "key", "key_secret")),
    *("token_format_pkey", "session_pkey", "sign_in_link_pkey"),
    *("role_scope_unique", "user_workspace_unique"),
    *("audit_event_pkey", "audit_event_default_pkey", "replica_pkey", "schema_migration_pkey"),
}


async def test_every_invariant_is_enforced_by_a_constraint_of_its_own(
    undone: Connection,
) -> None:
    await undone.execute(POPULATED)
    violated: dict[str, str | None] = {}
    for name, statement in FORBIDDEN.items():
        try:
            async with undone.transaction():
                await undone.execute(statement)
                raise AssertionError(f"{name}: the database took it")
        except asyncpg.IntegrityConstraintViolationError as error:
            violated[name] = error.constraint_name
    assert violated == {name: name for name in FORBIDDEN}


async def test_no_constraint_of_the_schema_is_untested(undone: Connection) -> None:
    rows = await undone.fetch(
        """
        SELECT conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
        WHERE n.nspname = 'keywright' AND contype IN ('c', 'f', 'p', 'u')
            AND conname !~ '^audit_event_\\d{4}_\\d\\d_pkey$' -- a month's
        UNION
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'keywright' AND i.indisunique
            AND c.relname !~ '^audit_event_\\d{4}_\\d\\d_pkey$'
        """
    )

    assert {row[0] for row in rows} == FORBIDDEN.keys() | NOT_TRIED


async def test_internal_ids_cannot_be_chosen(undone: Connection) -> None:
    await undone.execute(POPULATED)
    tables = ("workspace", "role", "user", "grant", "key", "key_secret", "session", "sign_in_link")
    for table in tables:
        with pytest.raises(asyncpg.GeneratedAlwaysError):
            async with undone.transaction():
                await undone.execute(f"UPDATE keywright.{table} SET id = 1")


async def test_a_deleted_user_leaves_its_keys_and_takes_its_grants(undone: Connection) -> None:
    await undone.execute(POPULATED)
    await undone.execute("DELETE FROM keywright.user WHERE user_id = 'u-w1'")

    key = await undone.fetchrow("SELECT * FROM keywright.key WHERE key_id = 'k-w1'")
    assert key is not None
    assert (key["owner"], key["owner_user_id"]) == (None, "u-w1")
    assert key["workspace"] is not None
    assert await undone.fetchval("SELECT count(*) FROM keywright.grant") == 1
    (found,) = await undone.fetch(BY_PREFIX, [f"{key['id']:012}"])
    assert found["prefix"] is None  # nobody's key proves nothing


# --- the look-up ------------------------------------------------------------------------------


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """How each table of a plan is read: table, kind of scan, index."""
    if "Relation Name" in plan:
        yield plan["Relation Name"], plan["Node Type"], plan.get("Index Name", "")
    for child in plan.get("Plans", []):
        yield from scans(child)


async def assert_indexed(connection: Connection, prefix: str) -> None:
    """The look-up goes through the unique index on prefixes, and reads no large table whole."""
    await connection.execute(f"PREPARE look_up (text[]) AS {BY_PREFIX}")
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE look_up ('{{{prefix}}}')")
    await connection.execute("DEALLOCATE look_up")
    found = set(scans(json.loads(text)[0]["Plan"]))
    large = [each for each in found if each[0] in ("key_secret", "key", "user")]
    assert {index for table, _, index in large if table == "key_secret"} == {
        "key_secret_prefix_unique",
        "key_secret_pkey",  # of what opened a session
    }
    assert len(large) == 4
    assert [each for each in large if each[1] == "Seq Scan"] == []


async def test_a_look_up_among_many_keys_reads_indexes_only(
    undone: Connection,
) -> None:
    await undone.execute("INSERT INTO keywright.workspace (workspace_id) VALUES ('w')")
    await undone.execute(
        """
        INSERT INTO keywright.user (workspace, user_id, kind, role, role_scope)
        SELECT w.id, 'u' || n, 'SERVICE', r.id, r.scope
        FROM keywright.workspace w, keywright.role r, generate_series(1, 5000) n
        WHERE w.workspace_id = 'w' AND r.role_id = 'member'
        """
    )
    await undone.execute(
        """
        INSERT INTO keywright.key
            (workspace, key_id, owner, owner_user_id, creator_user_id, environment)
        SELECT workspace, user_id || '-' || n, id, user_id, user_id, 'live'
        FROM keywright.user, generate_series(1, 10) n
        """
    )
    await undone.execute(
        "INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash) "
        "SELECT id, lpad(id::text, 12, '0'), '12345678', '' FROM keywright.key"
    )
    await undone.execute("ANALYZE")
    (some,) = await undone.fetch("SELECT prefix FROM keywright.key_secret OFFSET 4711 LIMIT 1")

    for mode in ("force_generic_plan", "force_custom_plan"):
        await undone.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await assert_indexed(undone, some["prefix"])
    (row,) = await undone.fetch(BY_PREFIX, [some["prefix"]])
    assert row["prefix"] == some["prefix"]


async def test_a_look_up_of_an_unknown_prefix_still_says_where_the_history_stands(
    storage: Database,
) -> None:
    async with storage.reading() as reads:
        seen = await reads.credentials.look_up(["000000000000"])

    assert seen.found == {}
    assert seen.position.revision == 0
    assert seen.now.tzinfo is not None


# --- failures ---------------------------------------------------------------------------------


@asynccontextmanager
async def faulty(connection: Connection, code: str, times: int) -> AsyncIterator[None]:
    """Let the first `times` insertions of workspaces fail with an SQLSTATE."""
    await connection.execute(
        f"""
        CREATE SEQUENCE public.attempts;  -- which a rollback leaves alone
        CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('public.attempts') <= {times} THEN
                RAISE EXCEPTION 'a fault that the test made' USING ERRCODE = '{code}';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fault BEFORE INSERT ON keywright.workspace
        FOR EACH ROW EXECUTE FUNCTION public.fail();
        """
    )
    try:
        yield
    finally:
        await connection.execute(
            "DROP FUNCTION public.fail CASCADE; DROP SEQUENCE public.attempts;"
            "DELETE FROM keywright.workspace WHERE workspace_id = 'w'"
        )


async def insert(writes: Writes) -> int | None:
    return await writes.workspaces.insert("w")


async def attempts(connection: Connection) -> Any:
    return await connection.fetchval("SELECT last_value FROM public.attempts")


@pytest.mark.parametrize("code", ["40001", "40P01"], ids=["serialisation", "deadlock"])
async def test_what_the_database_asks_to_be_tried_again_is_tried_again(
    storage: Database, connection: Connection, code: str
) -> None:
    async with faulty(connection, code, times=2):
        assert await storage.writing(insert) is not None
        assert await attempts(connection) == 3


async def test_a_conflict_that_does_not_end_is_told_after_five_attempts(
    storage: Database, connection: Connection
) -> None:
    async with faulty(connection, "40001", times=1000):
        with pytest.raises(ServiceError) as error:
            await storage.writing(insert)
        assert error.value.reason is Reason.CONCURRENT_UPDATE
        assert await attempts(connection) == 5


async def test_any_other_failure_is_not_tried_again(
    storage: Database, connection: Connection
) -> None:
    async with faulty(connection, "P0001", times=1000):
        with pytest.raises(UnexpectedDatabaseError, match="P0001"):
            await storage.writing(insert)
        assert await attempts(connection) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("08006", Reason.DATABASE_UNAVAILABLE),
        ("53300", Reason.DATABASE_UNAVAILABLE),
        ("57P01", Reason.DATABASE_UNAVAILABLE),
        ("25006", Reason.DATABASE_UNAVAILABLE),
        ("57014", Reason.DEADLINE_EXCEEDED),
        ("55P03", Reason.CONCURRENT_UPDATE),
    ],
)
async def test_a_failure_is_told_by_what_it_means_without_the_database_s_words(
    storage: Database, connection: Connection, code: str, reason: Reason
) -> None:
    async with faulty(connection, code, times=1000):
        with pytest.raises(ServiceError) as error:
            await storage.writing(insert)
        assert error.value.reason is reason
        assert isinstance(error.value, Unavailable) == (reason is Reason.DATABASE_UNAVAILABLE)
        assert "fault" not in error.value.message


async def test_waiting_too_long_for_others_is_a_conflict_and_no_failure(
    dsn: str, connection: Connection
) -> None:
    impatient = await Database.open(
        dsn,
        size=1,
        connect_timeout=TIMEOUT,
        statement_timeout=timedelta(milliseconds=400),
    )

    async def lock(writes: Writes) -> None:
        await writes.authority.lock(held_workspace=1, workspaces=[1])

    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM keywright.workspace WHERE id = 1 FOR UPDATE")
            with pytest.raises(ServiceError) as error:
                await impatient.writing(lock)
        assert error.value.reason is Reason.CONCURRENT_UPDATE
        await impatient.writing(lock)
    finally:
        await impatient.close()


async def test_a_statement_ends_with_the_caller_s_deadline(
    storage: Database, connection: Connection
) -> None:
    async def lock(writes: Writes) -> None:
        await writes.authority.lock(held_workspace=1, workspaces=[1])

    async with connection.transaction():
        await connection.execute("SELECT FROM keywright.workspace WHERE id = 1 FOR UPDATE")
        with pytest.raises(ServiceError) as error:
            await storage.writing(lock, within=timedelta(milliseconds=150))
    assert error.value.reason is Reason.DEADLINE_EXCEEDED
    await storage.writing(lock, within=timedelta(seconds=5))


async def test_what_fails_half_way_leaves_nothing(storage: Database) -> None:
    async def half(writes: Writes) -> None:
        await insert(writes)
        raise LookupError

    with pytest.raises(LookupError):
        await storage.writing(half)
    async with storage.reading() as reads:
        assert await reads.workspaces.get("w") is None


async def test_a_cancelled_caller_s_transaction_leaves_nothing_and_no_lock(
    storage: Database, connection: Connection
) -> None:
    inside = asyncio.Event()

    async def wait(writes: Writes) -> None:
        await insert(writes)
        inside.set()
        await asyncio.Event().wait()

    cancelled = asyncio.create_task(storage.writing(wait))
    await inside.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await storage.writing(insert) is not None  # nobody holds the name
    await connection.execute("DELETE FROM keywright.workspace WHERE workspace_id = 'w'")


async def test_a_violated_constraint_is_known_by_its_name(storage: Database) -> None:
    async def make(writes: Writes, user_id: str, email: str | None) -> None:
        workspace = await writes.read.workspaces.get("system")
        assert workspace is not None
        guest = await writes.read.roles.get("system", "guest")
        assert guest is not None
        new = NewUser(user_id, UserKind.HUMAN, guest, email, "", "", {})
        await writes.users.insert(workspace.internal_id, new)

    await storage.writing(lambda writes: make(writes, "ann", "ann@example.com"))
    for user_id, email, field in (
        ("ann", "other@example.com", "user_id"),
        ("bea", "ANN@Example.com", "user.email"),
        ("cem", None, "user.email"),
    ):
        with pytest.raises(ServiceError) as error:
            await storage.writing(lambda writes, u=user_id, e=email: make(writes, u, e))  # type: ignore[misc]
        assert [violation.field for violation in error.value.violations] == [field]
        assert isinstance(error.value, InvalidFields) == (email is None)


async def test_a_database_that_is_not_there_is_unavailable(cluster: Cluster) -> None:
    nowhere = await Database.open(
        cluster.of("no_such_database"), size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT
    )
    try:
        with pytest.raises(Unavailable):
            async with nowhere.reading() as reads:
                await reads.installation.signing_key()
    finally:
        await nowhere.close()
