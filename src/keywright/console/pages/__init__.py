"""The pages, one module a family; each has its routes in `PAGES`."""

from keywright.console.pages import (
    key_changes,
    key_details,
    key_list,
    key_tokens,
    openid_connect,
    sessions,
    sign_in,
)

PAGES = (
    *sign_in.PAGES,
    *openid_connect.PAGES,
    *key_list.PAGES,
    *key_tokens.PAGES,
    *key_changes.PAGES,
    *key_details.PAGES,
    *sessions.PAGES,
)
"""All of them."""
