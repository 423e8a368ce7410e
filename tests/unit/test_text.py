"""The rules for the words that people write."""

import pytest

from keywright.domain.errors import InvalidFields
from keywright.domain.text import (
    DISPLAY_NAME_MAX_LENGTH,
    LABELS_MAX_COUNT,
    check_display_name,
    check_email,
    check_external_id,
    check_labels,
    normalise_email,
)


@pytest.mark.parametrize("text", ["", "CI key", "Schlüssel für Ämter", "鍵", "🔑", "n" * 200])
def test_what_people_write_can_be_a_display_name(text: str) -> None:
    assert check_display_name(text, "key.display_name") == text


@pytest.mark.parametrize(
    "text",
    [
        "n" * (DISPLAY_NAME_MAX_LENGTH + 1),
        "two\nlines",
        "nul\x00",
        "tab\t",
        "line\u2028separator",
        "bell\x07",
        "half\ud800",
        "admin\u202etxt.exe",  # CVE-2021-42574
        "\u2066isolated\u2069",
    ],
)
def test_a_name_that_deceives_or_breaks_a_line_is_refused(text: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        check_display_name(text, "key.display_name")
    assert refused.value.violations[0].field == "key.display_name"


def test_addresses_that_differ_only_in_case_or_form_are_the_same() -> None:
    assert normalise_email("Ann@B.Example") == normalise_email("ann@b.example")
    assert normalise_email("\uff21\uff2e\uff2e@b.example") == normalise_email("ann@b.example")
    assert normalise_email("straße@b.example") == normalise_email("STRASSE@b.example")
    assert normalise_email("e\u0301@b.example") == normalise_email("é@b.example")


def test_addresses_that_differ_in_dots_or_tags_are_different() -> None:
    assert normalise_email("a.nn@b.example") != normalise_email("ann@b.example")
    assert normalise_email("ann+x@b.example") != normalise_email("ann@b.example")


def test_what_is_no_address_or_external_id_is_refused() -> None:
    for text in ("ann", "ann\uff20c@b.example"):  # a full-width @, of which NFKC makes another @
        with pytest.raises(InvalidFields):
            check_email(text, "user.email")
    with pytest.raises(InvalidFields):
        check_external_id("x" * 257, "user.external_id")
    with pytest.raises(InvalidFields):
        check_external_id("a\nb", "user.external_id")
    assert check_external_id("auth0|62af", "user.external_id") == "auth0|62af"


def test_labels_of_the_usual_forms_are_accepted() -> None:
    labels = {"team": "Vision", "example.com/cost-centre": "", "a": "x" * 256}

    assert check_labels(labels, "key.labels") == labels


@pytest.mark.parametrize("key", ["", "Team", "-team", "team-", "a b", "x" * 64, "team\n", "é"])
def test_a_label_with_a_bad_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidFields):
        check_labels({key: "x"}, "key.labels")


def test_a_label_with_a_bad_value_is_refused_naming_it() -> None:
    for value in ("x" * 257, "a\nb", "\x00"):
        with pytest.raises(InvalidFields) as refused:
            check_labels({"team": value}, "key.labels")
        assert refused.value.violations[0].field == 'key.labels["team"]'


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(InvalidFields):
        check_labels({f"l{n}": "" for n in range(LABELS_MAX_COUNT + 1)}, "key.labels")
