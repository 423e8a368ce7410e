"""What can be asked of a credential, as the server has it: so that what it would refuse is found.

For what is written down once, in a policy or in code, and asked with every request.
"""

import re

PERMISSION_MAX_LENGTH = 128
_WORD = "[A-Za-z][A-Za-z0-9_-]*"
_PERMISSION = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_permission(text: str) -> bool:
    """Whether `text` can be required: `datasets.read`, and no pattern, which is for keys."""
    return len(text) <= PERMISSION_MAX_LENGTH and _PERMISSION.fullmatch(text) is not None


def is_environment(text: str) -> bool:
    """Whether `text` can be a key's environment: `live`."""
    return _ENVIRONMENT.fullmatch(text) is not None
