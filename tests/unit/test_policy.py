"""What a workspace may ask of its keys; test_lifetimes.py has what it then allows."""

from datetime import timedelta

import pytest

from keywright.domain.directory import NO_POLICY, KeyPolicy
from keywright.domain.errors import InvalidFields, Reason
from keywright.domain.permissions import SERVICE_PERMISSIONS, check_known
from keywright.domain.policy import (
    CATALOG_MAX_COUNT,
    ENVIRONMENTS_MAX_COUNT,
    MAX_LIFETIME_WHERE_EXPIRY_IS_REQUIRED,
    check_catalog,
    check_environments,
    check_policy,
    maximum,
    spelled,
)

MINUTE, DAY, WEEK = timedelta(minutes=1), timedelta(days=1), timedelta(weeks=1)
TICK = timedelta(microseconds=1)
CENTURY = timedelta(days=36_500)


def refused_policy(policy: KeyPolicy) -> list[str]:
    with pytest.raises(InvalidFields) as error:
        check_policy(policy, "policy")
    assert error.value.reason is Reason.FIELD_INVALID
    return [violation.field for violation in error.value.violations]


# --- policies ---------------------------------------------------------------------------------


def test_a_policy_may_ask_nothing_or_everything() -> None:
    check_policy(NO_POLICY, "policy")
    check_policy(
        KeyPolicy(
            max_ttl=WEEK,
            default_ttl=WEEK,
            expiry_required=True,
            max_keys_per_user=1,
            free_binding=True,
            rotation_reminder=DAY,
        ),
        "policy",
    )


@pytest.mark.parametrize(
    ("part", "least"), [("max_ttl", MINUTE), ("default_ttl", MINUTE), ("rotation_reminder", DAY)]
)
def test_a_duration_has_a_least_and_a_most_that_are_allowed(part: str, least: timedelta) -> None:
    for allowed in (least, CENTURY):
        check_policy(KeyPolicy(**{part: allowed}), "policy")  # type: ignore[arg-type]
    for outside in (least - TICK, timedelta(0), -DAY, CENTURY + TICK):
        assert refused_policy(KeyPolicy(**{part: outside})) == [f"policy.{part}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "policy",
    [
        KeyPolicy(max_ttl=DAY, default_ttl=DAY + TICK),
        KeyPolicy(max_ttl=DAY, default_ttl=WEEK, expiry_required=True),
        KeyPolicy(default_ttl=MAX_LIFETIME_WHERE_EXPIRY_IS_REQUIRED + TICK, expiry_required=True),
    ],
)
def test_a_default_above_the_maximum_is_refused_naming_the_default(policy: KeyPolicy) -> None:
    assert refused_policy(policy) == ["policy.default_ttl"]


def test_a_default_without_a_maximum_may_be_long() -> None:
    check_policy(KeyPolicy(default_ttl=CENTURY), "policy")
    check_policy(
        KeyPolicy(default_ttl=50 * WEEK, max_ttl=50 * WEEK, expiry_required=True), "policy"
    )


def test_the_maximum_is_what_the_policy_says_and_25_weeks_where_keys_must_expire() -> None:
    assert maximum(NO_POLICY) is None
    assert maximum(KeyPolicy(max_ttl=DAY)) == DAY
    assert maximum(KeyPolicy(expiry_required=True)) == 25 * WEEK
    assert maximum(KeyPolicy(expiry_required=True, max_ttl=50 * WEEK)) == 50 * WEEK


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (25 * WEEK, "25 weeks"),
        (WEEK, "1 week"),
        (8 * DAY, "8 days"),
        (timedelta(hours=25), "25 hours"),
        (MINUTE, "1 minute"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(seconds=1.5), "1.5 seconds"),
    ],
)
def test_a_bound_is_said_in_the_largest_unit_that_it_is_whole_in(
    duration: timedelta, words: str
) -> None:
    assert spelled(duration) == words


# --- environments -----------------------------------------------------------------------------


def test_environments_are_one_to_sixteen_short_words() -> None:
    for environments in (
        ["live"],
        ["a", "a1", "abcdefghijklmnop"],
        [f"e{number}" for number in range(ENVIRONMENTS_MAX_COUNT)],
    ):
        check_environments(environments, "environments")


@pytest.mark.parametrize(
    ("environments", "field"),
    [
        ([], "environments"),
        ([f"e{number}" for number in range(ENVIRONMENTS_MAX_COUNT + 1)], "environments"),
        (["live", "test", "live"], "environments"),
        (["live", ""], "environments[1]"),
        (["Live"], "environments[0]"),
        (["1live"], "environments[0]"),
        (["li_ve"], "environments[0]"),  # would end the environment inside a token
        (["abcdefghijklmnopq"], "environments[0]"),
    ],
)
def test_other_environments_are_refused_naming_the_one(environments: list[str], field: str) -> None:
    with pytest.raises(InvalidFields) as error:
        check_environments(environments, "environments")
    assert [violation.field for violation in error.value.violations] == [field]


# --- the permission catalogue -----------------------------------------------------------------


def test_a_catalogue_maps_permissions_to_what_they_permit() -> None:
    entries = [("cats.read", "See the cats"), ("cats", "")]

    assert check_catalog(entries, "catalog") == {"cats.read": "See the cats", "cats": ""}
    assert check_catalog([], "catalog") == {}
    check_catalog([(f"cats.n{number}", "") for number in range(CATALOG_MAX_COUNT)], "catalog")


@pytest.mark.parametrize(
    ("permissions", "field"),
    [
        (["cats.*"], "catalog.entries[0].permission"),
        (["*"], "catalog.entries[0].permission"),
        (["cats.read", ""], "catalog.entries[1].permission"),
        (["cats.read", "cats.read"], "catalog.entries[1].permission"),
        ([f"cats.n{number}" for number in range(CATALOG_MAX_COUNT + 1)], "catalog.entries"),
    ],
)
def test_what_is_no_catalogue_is_refused_naming_the_entry(
    permissions: list[str], field: str
) -> None:
    with pytest.raises(InvalidFields) as error:
        check_catalog([(each, "") for each in permissions], "catalog")
    assert [violation.field for violation in error.value.violations] == [field]


CATALOG = {"cats.read": "", "cats.feed.wet": ""}


@pytest.mark.parametrize(
    "pattern", ["*", "cats.*", "cats.feed.*", "cats.read", "keys.*", *sorted(SERVICE_PERMISSIONS)]
)
def test_what_stands_for_a_permission_that_there_is_is_known(pattern: str) -> None:
    check_known([pattern], CATALOG, "scopes")


@pytest.mark.parametrize(
    "pattern", ["cats", "cats.feed", "cats.feed.dry", "cats.read.*", "dogs.*", "keys", "keys.owned"]
)
def test_what_stands_for_none_is_refused_by_name_and_place(pattern: str) -> None:
    with pytest.raises(InvalidFields) as error:
        check_known(["cats.read", pattern, "also.unknown"], CATALOG, "scopes")
    assert error.value.reason is Reason.PERMISSION_UNKNOWN
    assert error.value.details == {"permission": pattern}
    assert [violation.field for violation in error.value.violations] == ["scopes[1]"]


def test_without_a_catalogue_every_permission_is_known_and_with_an_empty_one_only_ours() -> None:
    check_known(["anything.at.all"], None, "scopes")
    check_known(["keys.own"], {}, "scopes")
    with pytest.raises(InvalidFields):
        check_known(["anything.at.all"], {}, "scopes")
