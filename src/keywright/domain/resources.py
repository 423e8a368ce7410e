"""Resources: what applications protect, named by them, opaque to us."""

import re

RESOURCE_MAX_LENGTH = 512
# No control characters, line separators, or characters that reorder the text around them
# (CVE-2021-42574): a resource is shown to whoever grants it.
_SEGMENT = r"[^/\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+"
_RESOURCE = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def is_resource(text: str) -> bool:
    """Whether `text` can name a resource: segments without control characters joined by `/`."""
    return len(text) <= RESOURCE_MAX_LENGTH and _RESOURCE.fullmatch(text) is not None


def covers(resource: str, other: str) -> bool:
    """Whether `other` is `resource` or lies below it: `projects/a` covers `projects/a/x`."""
    return other == resource or other.startswith(f"{resource}/")
