"""Resources: what applications protect, named by them, opaque to us."""

import unicodedata

RESOURCE_MAX_LENGTH = 512


def is_resource(text: str) -> bool:
    """Whether `text` can name a resource: segments of visible characters joined by `/`."""
    if not 0 < len(text) <= RESOURCE_MAX_LENGTH or not all(text.split("/")):
        return False
    return not any(unicodedata.category(character)[0] in "CZ" for character in text)


def covers(resource: str, other: str) -> bool:
    """Whether `other` is `resource` or lies below it: `projects/a` covers `projects/a/x`."""
    return other == resource or other.startswith(f"{resource}/")
