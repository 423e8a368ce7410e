"""The pages, one module a family; each has its routes in `PAGES`."""

from keywright.console.pages import (
    grants,
    key_changes,
    key_details,
    key_list,
    key_tokens,
    mass_revoke,
    openid_connect,
    policy,
    role_edit,
    role_list,
    sessions,
    sign_in,
    user_changes,
    user_details,
    user_edit,
    user_link,
    user_list,
    user_new,
)

PAGES = (
    *sign_in.PAGES,
    *openid_connect.PAGES,
    *key_list.PAGES,
    *key_tokens.PAGES,
    *key_changes.PAGES,
    *key_details.PAGES,
    *mass_revoke.PAGES,
    *sessions.PAGES,
    *policy.PAGES,
    *user_list.PAGES,
    *user_new.PAGES,
    *user_edit.PAGES,
    *user_link.PAGES,
    *user_changes.PAGES,
    *user_details.PAGES,
    *role_list.PAGES,
    *role_edit.PAGES,
    *grants.PAGES,
)
"""All of them."""
