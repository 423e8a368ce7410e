"""An explanation never tells another story than the decision: its steps follow from one another."""

import ipaddress
from dataclasses import replace
from datetime import timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from keywright.domain.authority import Authority
from keywright.domain.decision import Asked, Credential, decide, decide_user
from keywright.domain.directory import Owner, State
from keywright.domain.errors import Denied, Reason
from keywright.domain.explanation import Explanation, explain_key, explain_user
from keywright.domain.keys import KeyState, Narrowing
from keywright.domain.permissions import CROSSING
from keywright.domain.steps import Rule, Step, Verdict
from tests.property.test_authority import PLACES, grants, narrowings, patterns, permissions, roles
from tests.support.credentials import NOW, credential, user

OFFICE, HOME = ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")
GIVING = (Rule.USER_ROLE, Rule.GRANT)
NARROWING = (Rule.KEY_ROLE, Rule.KEY_SCOPES)

# Most is well, most of the time: else no example would get as far as the permissions.
states = st.sampled_from([State.ACTIVE] * 7 + [State.DISABLED])
moments = st.none() | st.sampled_from([-1, 0, 1, 1, 1]).map(lambda days: NOW + timedelta(days=days))
networks = st.sampled_from([(), (), (OFFICE,), (HOME, OFFICE)])
addresses = st.none() | st.sampled_from(["192.0.2.7", "2001:db8::1", "203.0.113.1"]).map(
    ipaddress.ip_address
)


@st.composite
def credentials(draw: st.DrawFn) -> Credential:
    """A key in any state of any user of any workspace."""
    workspace = draw(st.sampled_from(["default", "system"]))
    role = replace(draw(roles), may_hold_keys=draw(st.sampled_from([True] * 7 + [False])))
    owner = user("ann", role, state=draw(states), workspace=workspace)
    narrowing = replace(draw(narrowings), allowed_networks=draw(networks))
    key_states = [KeyState.ACTIVE] * 6 + [KeyState.DISABLED, KeyState.REVOKED]
    return credential(
        owner,
        narrowing=narrowing,
        grants=draw(grants),
        workspace_state=draw(states),
        secret_not_after=draw(moments),
        stored_state=draw(st.sampled_from(key_states)),
        expire_time=draw(moments),
    )


asked = st.builds(
    Asked,
    resource=st.sampled_from(PLACES),
    required_permissions=st.lists(permissions | st.sampled_from(sorted(CROSSING)), max_size=1),
    required_environment=st.sampled_from(["", "", "live", "test"]),
    client_address=addresses,
)


def denying(steps: tuple[Step, ...]) -> list[Step]:
    return [step for step in steps if step.verdict is Verdict.DENIES]


def assert_tells_of(explanation: Explanation, denied: Denied | None) -> None:
    """The first step that denies is why; and only such a step has a reason."""
    reasons = [step.reason for step in denying(explanation.steps)]
    event(str(reasons[0] if reasons else "allowed"))
    if denied is None:
        assert explanation.denied is None
        assert reasons == []
    else:
        assert explanation.denied is not None
        assert explanation.denied.reason is denied.reason is reasons[0]
        assert explanation.denied.details == denied.details
    for step in explanation.steps:
        assert (step.reason is not None) == (step.verdict is Verdict.DENIES)
        assert step.message


@settings(max_examples=500)
@given(credentials(), asked)
def test_the_first_step_that_denies_a_key_is_the_reason_of_the_decision(
    given_key: Credential, what: Asked
) -> None:
    denied = None
    try:
        decide(given_key, what, NOW)
    except Denied as error:
        denied = error
    assert_tells_of(explain_key(given_key, what, NOW), denied)


@settings(max_examples=300)
@given(credentials(), asked)
def test_the_first_step_that_denies_a_user_is_the_reason_of_the_decision(
    of: Credential, what: Asked
) -> None:
    owner, denied = Owner(of.user, tuple(of.authority.grants)), None
    try:
        decide_user(owner, of.workspace_state, what)
    except Denied as error:
        denied = error
    explanation = explain_user(owner, of.workspace_state, what)
    assert_tells_of(explanation, denied)
    states_and_giving = {Rule.WORKSPACE_STATE, Rule.USER_STATE, *GIVING}
    assert {step.rule for step in explanation.steps} <= states_and_giving


@settings(max_examples=300)
@given(credentials(), asked)
def test_a_permission_is_missing_exactly_where_nothing_gives_it_or_something_takes_it_away(
    given_key: Credential, what: Asked
) -> None:
    steps = explain_key(given_key, what, NOW).steps
    missing = [step for step in denying(steps) if step.reason is Reason.PERMISSION_MISSING]
    assert all(step.rule in (Rule.USER_ROLE, *NARROWING) for step in missing)
    gives = any(s.rule in GIVING and s.verdict is Verdict.ALLOWS for s in steps)
    role_denies = any(step.rule is Rule.USER_ROLE for step in missing)
    assert role_denies == bool(what.required_permissions and not gives)


def without(of: Credential, step: Step) -> Credential:
    """The same key without the rule that denied, where it can be without."""
    narrowing = of.key.narrowing
    match step.rule:
        case Rule.KEY_ROLE:
            narrowing = replace(narrowing, role=None)
        case Rule.KEY_SCOPES:
            narrowing = replace(narrowing, scopes=())
        case Rule.KEY_RESOURCE:
            narrowing = replace(narrowing, resource="")
        case Rule.NETWORK:
            narrowing = replace(narrowing, allowed_networks=())
    return rebuilt(of, narrowing)


def rebuilt(of: Credential, narrowing: Narrowing) -> Credential:
    authority = of.authority
    return replace(
        of,
        record=replace(of.key, narrowing=narrowing),
        authority=Authority(authority.workspace_id, authority.role, authority.grants, narrowing),
    )


@settings(max_examples=300)
@given(credentials(), asked)
def test_without_the_limit_that_denies_the_next_step_that_denies_is_the_reason(
    given_key: Credential, what: Asked
) -> None:
    """So the steps name all that stands in the way, and nothing that does not."""
    denials = denying(explain_key(given_key, what, NOW).steps)
    if denials and denials[0].rule in (Rule.KEY_RESOURCE, Rule.NETWORK, *NARROWING):
        again = explain_key(without(given_key, denials[0]), what, NOW)
        assert denying(again.steps) == denials[1:]


@given(credentials(), st.lists(patterns, min_size=1, max_size=2))
def test_the_steps_of_a_key_are_in_one_order(given_key: Credential, scopes: list[str]) -> None:
    narrowed = rebuilt(given_key, replace(given_key.key.narrowing, scopes=tuple(scopes)))
    steps = explain_key(narrowed, Asked(required_permissions=["a"]), NOW).steps
    rules = [step.rule for step in steps]
    key_rules, others = set(rules[:2]), [each for each in rules[2:] if each is not Rule.GRANT]
    assert key_rules == {Rule.CREDENTIAL_STATE, Rule.EXPIRY}
    assert others == [
        Rule.WORKSPACE_STATE,
        Rule.USER_STATE,
        Rule.KEY_HOLDING,
        Rule.ENVIRONMENT,
        Rule.NETWORK,
        Rule.KEY_RESOURCE,
        Rule.USER_ROLE,
        Rule.KEY_ROLE,
        Rule.KEY_SCOPES,
    ]
