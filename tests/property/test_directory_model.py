"""Any sequence of creations, demotions, grants and policies, beside a naive recomputation.

The rules of `domain` decide what is created and what a key may do; the model keeps plain sets of
permissions for each place, and works everything out anew from what was asked and granted. After
each step every key's answer is compared, and no key has ever more than its creator's credential
had when it was made, nor than its owner has now.
"""

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keywright.domain import creation
from keywright.domain.decision import Asked, Credential, decide, identify
from keywright.domain.directory import Grant, KeyCreation, KeyPolicy, Owner, State, User
from keywright.domain.errors import Denied, ServiceError
from keywright.domain.key_changes import Reach, widens
from keywright.domain.keys import Narrowing
from keywright.domain.permissions import PermissionSet
from keywright.domain.policy import expiry
from keywright.domain.roles import BUILT_IN, Role
from tests.support.credentials import NOW, credential, user

PERMISSIONS = frozenset(
    ["keys.own", "keys.any", "keys.bound", "auth.authenticate", "billing.read"]
    + [f"{what}.{how}" for what in ("labels", "datasets", "projects") for how in ("read", "write")]
)
PLACES = ("", "projects/a", "projects/a/x", "projects/ab", "datasets/y")
ROLES = {role.role_id: role for role in BUILT_IN}
GIVEN = ("guest", "labeler", "collaborator", "member", "admin")
GRANTED = ("viewer", "editor", "manager")
SCOPES = ("*", "keys.*", "labels.*", "datasets.read", "projects.write", "billing.read", "keys.own")
PEOPLE = ("ann", "bob", "root")
HOUR = timedelta(hours=1)

Places = dict[str, frozenset[str]]


def stands_for(patterns: frozenset[str] | tuple[str, ...]) -> frozenset[str]:
    """The permissions that patterns stand for, by their definition."""
    return frozenset(
        each
        for each in PERMISSIONS
        for one in patterns
        if one in ("*", each) or (one.endswith(".*") and each.startswith(one[:-1]))
    )


def within(place: str, resource: str) -> bool:
    return resource == "" or f"{place}/".startswith(f"{resource}/")


@dataclass
class Made:
    """A key as the model remembers it; `allowed` is what its creator's credential might then."""

    owner: str
    narrowing: Narrowing
    expire_time: datetime | None
    allowed: Places
    own_at_creation: Places


class Directory(RuleBasedStateMachine):
    """A workspace: three people, their roles and grants, a policy, and the keys they make."""

    def __init__(self) -> None:
        super().__init__()
        self.roles = {"ann": "own", "bob": "member", "root": "admin"}
        self.grants: dict[str, set[tuple[str, str]]] = {each: set() for each in PEOPLE}
        self.own_role = Role("own", PermissionSet(["labels.*", "keys.*"]), may_hold_keys=True)
        self.policy = KeyPolicy()
        self.disabled: set[str] = set()
        self.now = NOW
        self.keys: list[Made] = []

    # --- what there is, in the domain's words --------------------------------------------------

    def role(self, person: str) -> Role:
        return self.own_role if self.roles[person] == "own" else ROLES[self.roles[person]]

    def user(self, person: str) -> User:
        state = State.DISABLED if person in self.disabled else State.ACTIVE
        return user(person, self.role(person), state=state)

    def granted(self, person: str) -> tuple[Grant, ...]:
        return tuple(
            Grant(place, ROLES[role_id].permissions)
            for place, role_id in sorted(self.grants[person])
        )

    def credential(self, made: Made) -> Credential:
        return credential(
            self.user(made.owner),
            narrowing=self.narrowing(made),
            grants=self.granted(made.owner),
            expire_time=made.expire_time,
        )

    def narrowing(self, made: Made) -> Narrowing:
        """With the role as it is now: a role that is edited narrows its keys, too."""
        role = made.narrowing.role
        return (
            replace(made.narrowing, role=self.own_role)
            if role and role.role_id == "own"
            else (made.narrowing)
        )

    # --- the model -----------------------------------------------------------------------------

    def naive_user(self, person: str) -> Places:
        """What a person may do, place by place."""
        return {
            place: stands_for(self.role(person).permissions.patterns).union(
                *(
                    stands_for(ROLES[role_id].permissions.patterns)
                    for resource, role_id in self.grants[person]
                    if place and within(place, resource)
                )
            )
            for place in PLACES
        }

    def naive_key(self, made: Made) -> Places:
        """What a key may do, place by place: nothing where it is not bound to, or not at all."""
        if (
            made.owner in self.disabled
            or not self.role(made.owner).may_hold_keys
            or (made.expire_time is not None and self.now >= made.expire_time)
        ):
            return dict.fromkeys(PLACES, frozenset())
        narrowing = self.narrowing(made)
        limits = [PERMISSIONS]
        if narrowing.role is not None:
            limits.append(stands_for(narrowing.role.permissions.patterns))
        if narrowing.scopes:
            limits.append(stands_for(narrowing.scopes))
        return {
            place: frozenset.intersection(here, *limits)
            if within(place, narrowing.resource)
            else frozenset()
            for place, here in self.naive_user(made.owner).items()
        }

    # --- what happens --------------------------------------------------------------------------

    @initialize()
    def everybody_has_a_key(self) -> None:
        """Made by nobody, so that there is who can call."""
        for person in PEOPLE:
            has = self.naive_user(person)
            self.keys.append(Made(person, Narrowing(), None, has, has))

    @rule(
        by=st.integers(0, 30),
        owner=st.sampled_from([None, *PEOPLE]),
        role_id=st.sampled_from([None, None, "own", *GIVEN, *GRANTED]),
        scopes=st.lists(st.sampled_from(SCOPES), max_size=3, unique=True).map(tuple),
        resource=st.sampled_from(("", *PLACES)),
        hours=st.sampled_from([None, None, 1, 5]),
    )
    def create(
        self,
        *,
        by: int,
        owner: str | None,
        role_id: str | None,
        scopes: tuple[str, ...],
        resource: str,
        hours: int | None,
    ) -> None:
        """A key asks for another one, for its own user or somebody else."""
        calling = self.keys[by % len(self.keys)]
        role = None if role_id is None else self.own_role if role_id == "own" else ROLES[role_id]
        narrowing = Narrowing(role, scopes, resource)
        for_whom = owner or calling.owner
        try:
            expire_time = self._checked(calling, for_whom, narrowing, hours)
        except ServiceError:
            return
        made = Made(
            for_whom, narrowing, expire_time, self.naive_key(calling), self.naive_user(for_whom)
        )
        self.keys.append(made)
        assert self._exceeds_nothing(made, calling)

    def _checked(
        self, calling: Made, owner: str, narrowing: Narrowing, hours: int | None
    ) -> datetime | None:
        """When the key expires, if the rules of `domain` let it be made."""
        caller = identify(self.credential(calling), None, self.now)
        creation.check_permission(caller, self.user(owner), narrowing.resource, self.policy)
        creation.check_owner(self.user(owner))
        ends = expiry(
            self.policy,
            self.now,
            ttl=None if hours is None else hours * HOUR,
            expire_time=None,
            never=False,
        )
        owned = Owner(self.user(owner), self.granted(owner))
        creation.check_within(caller, owned, narrowing, ends)
        return ends

    def _exceeds_nothing(self, made: Made, calling: Made) -> bool:
        has = self.naive_key(made)
        later = made.expire_time
        return all(has[place] <= made.allowed[place] for place in PLACES) and (
            calling.expire_time is None or (later is not None and later <= calling.expire_time)
        )

    @rule(person=st.sampled_from(PEOPLE), role_id=st.sampled_from([*GIVEN, "own"]))
    def give_role(self, person: str, role_id: str) -> None:
        """A promotion, or a demotion."""
        self.roles[person] = role_id

    @rule(patterns=st.lists(st.sampled_from(SCOPES), max_size=3), may_hold_keys=st.booleans())
    def edit_role(self, patterns: list[str], *, may_hold_keys: bool) -> None:
        """All who have the role, and all keys narrowed to it, feel it."""
        self.own_role = Role("own", PermissionSet(patterns), may_hold_keys)

    @rule(
        person=st.sampled_from(PEOPLE),
        place=st.sampled_from(PLACES[1:]),
        role_id=st.sampled_from(GRANTED),
    )
    def give_or_take_grant(self, person: str, place: str, role_id: str) -> None:
        """What was there goes, what was not comes."""
        self.grants[person] ^= {(place, role_id)}

    @rule(person=st.sampled_from(PEOPLE))
    def disable_or_enable(self, person: str) -> None:
        """A person comes back with what it had."""
        self.disabled ^= {person}

    @rule(
        only_admins=st.booleans(),
        free_binding=st.booleans(),
        maximum=st.sampled_from([None, 2, 10]),
        required=st.booleans(),
    )
    def set_policy(
        self, *, only_admins: bool, free_binding: bool, maximum: int | None, required: bool
    ) -> None:
        """It counts for what comes after it."""
        self.policy = KeyPolicy(
            max_ttl=None if maximum is None else maximum * HOUR,
            default_ttl=HOUR,
            expiry_required=required,
            key_creation=KeyCreation.ADMINS if only_admins else KeyCreation.EVERYONE,
            free_binding=free_binding,
        )

    @rule(hours=st.integers(1, 3))
    def time_passes(self, hours: int) -> None:
        """Keys expire."""
        self.now += hours * HOUR

    @precondition(lambda self: len(self.keys) > 1)
    @rule(
        which=st.integers(0, 30),
        scopes=st.lists(st.sampled_from(SCOPES), max_size=2, unique=True).map(tuple),
        resource=st.sampled_from(PLACES),
    )
    def narrow(self, which: int, scopes: tuple[str, ...], resource: str) -> None:
        """A change that is no widening leaves a key nothing that it had not, anywhere."""
        made = self.keys[which % len(self.keys)]
        changed = replace(made.narrowing, scopes=scopes, resource=resource)
        if widens(Reach(made.narrowing, None), Reach(changed, None)):
            return
        before = self.naive_key(made)
        made.narrowing = changed
        after = self.naive_key(made)
        assert all(after[place] <= before[place] for place in PLACES)

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def every_answer_is_what_the_model_says(self) -> None:
        """`decide` allows a permission at a place if and only if the model does."""
        for made in self.keys:
            expected = self.naive_key(made)
            stands = self.credential(made)
            for place in PLACES:
                try:
                    found = decide(stands, Asked(resource=place), self.now).permissions
                except Denied:
                    assert expected[place] == frozenset(), (made, place)
                    continue
                assert stands_for(found.patterns) == expected[place], (made, place)

    @invariant()
    def no_key_exceeds_its_owner(self) -> None:
        """Now, whatever happened since it was made."""
        for made, place in itertools.product(self.keys, PLACES):
            assert self.naive_key(made)[place] <= self.naive_user(made.owner)[place]

    @invariant()
    def an_unchanged_owner_s_key_is_within_what_created_it(self) -> None:
        """While nothing was given to its owner, it has nothing that its creator had not.

        A role of the workspace's own may have been edited meanwhile: keys narrowed to that follow.
        """
        for made in self.keys:
            follows = made.narrowing.role is not None and made.narrowing.role.role_id == "own"
            if not follows and self.naive_user(made.owner) == made.own_at_creation:
                has = self.naive_key(made)
                assert all(has[place] <= made.allowed[place] for place in PLACES)


Directory.TestCase.settings = settings(max_examples=150, stateful_step_count=25)
TestDirectory = pytest.mark.slow(Directory.TestCase)


@pytest.mark.slow
@pytest.mark.parametrize("guard", ["check_within", "check_authority"])
def test_rules_without_one_of_their_guards_are_found_out(
    guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creation, guard, lambda *_arguments: None)
    found_out = settings(
        max_examples=500,
        stateful_step_count=25,
        database=None,
        phases=[Phase.generate],  # one failure is enough, however long its story
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Directory, settings=found_out)
