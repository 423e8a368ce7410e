"""What a resource may be, as the server has it: so that what it would refuse is not sent."""

import re

RESOURCE_MAX_LENGTH = 512
# No control characters, line separators, or characters that reorder the text around them, as
# `keywright.domain.resources` has it; nor halves of a surrogate pair, which no request can carry.
_SEGMENT = r"[^/\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
_RESOURCE = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def is_resource(text: str) -> bool:
    """Whether `text` can name a resource: at most 512 characters, no empty segment."""
    return len(text) <= RESOURCE_MAX_LENGTH and _RESOURCE.fullmatch(text) is not None
