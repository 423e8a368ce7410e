"""How much keys are used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

ALLOWED = "ALLOWED"
"""The outcome of a decision that was no denial; every other one is the reason of a denial."""


@dataclass(frozen=True, slots=True)
class Point:
    """How often a key was used in the hour or day that begins at `start_time`, by outcome.

    `key_id` is empty where it is the sum of all keys.
    """

    start_time: datetime
    key_id: str
    counts: Mapping[str, int]
