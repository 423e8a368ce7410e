"""Which forms are ours: each carries a token that only our own pages can have told.

It is an HMAC keyed with what the browser's cookie holds, the session's token or, before anybody has
signed in, a random text. So it is bound to the session, ends with it, and nothing is kept.
"""

import hmac
from hashlib import sha256

from keywright.sdk import Secret

FIELD = "csrf_token"
_PURPOSE = b"keywright console: this form is ours"


def token_for(cookie: Secret) -> str:
    """The token of forms that are shown to who has this cookie."""
    return hmac.new(cookie.reveal().encode(), _PURPOSE, sha256).hexdigest()


def is_ours(presented: str, cookie: Secret) -> bool:
    """Whether a form was shown to who has this cookie."""
    return hmac.compare_digest(presented.encode(), token_for(cookie).encode())
