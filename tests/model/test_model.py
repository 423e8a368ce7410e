"""The model of the consistency protocol: it keeps G1, and no planted mistake goes unnoticed."""

import pytest

from tests.model.searches import (
    CONFIGURATIONS,
    MISTAKES,
    committed_trace,
    counterexample,
    missing_tools,
    search,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    missing = missing_tools()
    assert not missing, f"The model needs {' and '.join(missing)}: run `make system-deps`."


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_nobody_allows_what_a_returned_narrowing_took_away(configuration: str) -> None:
    found = search(CONFIGURATIONS[configuration], shortest=False)
    assert found.complete, found.output
    assert found.errors == 0, found.trace


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_leads_to_a_wrong_allow(mistake: str) -> None:
    found = counterexample(mistake)
    assert found.errors == 1, found.output
    assert "gets an ALLOW" in found.trace.splitlines()[-1]
    assert found.trace == committed_trace(mistake).read_text(), "Run `make model-traces`."


def test_no_counterexample_is_kept_of_a_mistake_that_is_gone() -> None:
    kept = set(committed_trace("any").parent.iterdir())
    assert kept == {committed_trace(mistake) for mistake in MISTAKES}
