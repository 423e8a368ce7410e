"""What the database holds, so that a test can see that a refused call changed nothing."""

from tests.support.service import Service

# All that a call can write. When a key was last used is no change of it, and is written by itself,
# as is what was denied.
_STORED = """
SELECT json_build_object(
    'keys', (SELECT json_agg(to_jsonb(k) - 'last_used_time' - 'last_used_address' ORDER BY k.id)
             FROM keywright.key k),
    'secrets', (SELECT json_agg(s ORDER BY s.id) FROM keywright.key_secret s),
    'sessions', (SELECT json_agg(to_jsonb(e) - 'last_used_time' ORDER BY e.id)
                 FROM keywright.session e),
    'links', (SELECT json_agg(l ORDER BY l.id) FROM keywright.sign_in_link l),
    'users', (SELECT json_agg(u ORDER BY u.id) FROM keywright.user u),
    'roles', (SELECT json_agg(r ORDER BY r.id) FROM keywright.role r),
    'grants', (SELECT json_agg(g ORDER BY g.id) FROM keywright.grant g),
    'workspaces', (SELECT json_agg(w ORDER BY w.id) FROM keywright.workspace w),
    'events', (SELECT count(*) FROM keywright.audit_event WHERE outcome = 'DONE'),
    'revision', (SELECT revision FROM keywright.authority_revision)
)::text
"""


async def stored(service: Service) -> str:
    """All of it, to be compared."""
    (row,) = await service.sql(_STORED)
    return str(row[0])
