"""An authenticator asks together what is asked together, and what it answers holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import pytest

import keywright
from keywright.sdk import (
    Authenticator,
    ConfigurationError,
    FailedPrecondition,
    InvalidArgument,
    Principal,
    ResourceExhausted,
    Secret,
    Unauthenticated,
    Unavailable,
)
from keywright.sdk.authenticating import questions as asking
from keywright.v1 import rate_limit_pb2
from tests.support.leased import duration
from tests.support.watch_server import WatchServer, serving
from tests.unit.test_tls_files import ONE


@dataclass
class Rig:
    """A server, and an authenticator that is leased."""

    server: WatchServer
    authenticator: Authenticator

    async def lose(self) -> None:
        """The server is out of reach, and the lease is over."""
        self.server.refusal = self.server.failure = grpc.StatusCode.UNAVAILABLE
        [stream] = self.server.streams
        stream.ending.set()
        async with asyncio.timeout(20):
            while self.authenticator.trouble is None:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0.01)
        self.pass_time(60)

    def pass_time(self, seconds: float) -> None:
        """By the cache's clock."""
        cache = self.authenticator._cache
        clock = cache._clock
        cache._clock = lambda: clock() + seconds

    async def together(self, tokens: Sequence[str]) -> list[Any]:
        asked = (self.authenticator.authenticate(each) for each in tokens)
        async with asyncio.timeout(60):
            return await asyncio.gather(*asked, return_exceptions=True)


@asynccontextmanager
async def rig(**given: Any) -> AsyncIterator[Rig]:
    async with (
        serving() as (server, _),
        Authenticator(f"127.0.0.1:{server.port}", "kw_own", **given) as authenticator,
    ):
        async with asyncio.timeout(20):
            await authenticator.leased()
        yield Rig(server, authenticator)


async def test_a_thousand_who_ask_about_one_new_token_cost_one_call() -> None:
    async with rig() as at:
        answers = await at.together(1000 * ["new"])
        assert (at.server.calls, at.server.asked) == (1, ["new"])
        assert all(isinstance(each, Principal) for each in answers)


async def test_a_thousand_new_tokens_cost_a_few_calls_and_each_has_its_answer() -> None:
    async with rig() as at:
        tokens = [f"t{number}" for number in range(1000)]
        at.server.changes += tokens[::2]  # revoked
        answers = await at.together(tokens)
        assert sorted(at.server.asked) == sorted(tokens)
        assert at.server.calls <= 8
        denied = [isinstance(each, Unauthenticated) for each in answers]
        assert denied == [number % 2 == 0 for number in range(1000)]


async def test_without_a_lease_too_a_thousand_who_ask_together_cost_one_call() -> None:
    async with rig() as at:
        at.server.lease = None
        at.pass_time(60)
        await at.together(1000 * ["new"])
        assert at.server.calls == 1
        await at.together(["new"])
        assert at.server.calls == 2


async def who_comes_late_is_not_told_what_was_true_before(at: Rig) -> None:
    at.server.hold.clear()
    early = asyncio.create_task(at.authenticator.authenticate("k"))
    await at.server.held.wait()  # it is allowed, and the answer on its way
    async with asyncio.timeout(10):
        await at.server.narrow("k")  # and has returned
    late = asyncio.create_task(at.authenticator.authenticate("k"))
    await asyncio.sleep(0)
    at.server.hold.set()
    await early
    [outcome] = await asyncio.gather(late, return_exceptions=True)
    assert isinstance(outcome, Unauthenticated), "allowed after the narrowing had returned"


async def test_who_comes_late_is_not_told_what_was_true_before() -> None:
    async with rig() as at:
        await who_comes_late_is_not_told_what_was_true_before(at)


async def test_a_build_that_tells_them_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(self: asking.Questions, question: Any) -> Any:
        place = (question.key, question.client_address)
        sent = self._sent.get(place)
        if sent is not None:
            return await asyncio.shield(sent.answer)
        return await self._join(place, question)

    monkeypatch.setattr(asking.Questions, "ask", ask)
    async with rig() as at:
        with pytest.raises(AssertionError):
            await who_comes_late_is_not_told_what_was_true_before(at)


async def test_who_comes_late_shares_an_answer_that_still_holds() -> None:
    async with rig() as at:
        at.server.hold.clear()
        early = asyncio.create_task(at.authenticator.authenticate("k"))
        await at.server.held.wait()
        late = [asyncio.create_task(at.authenticator.authenticate("k")) for _ in range(10)]
        await asyncio.sleep(0)
        at.server.hold.set()
        await asyncio.gather(early, *late)
        assert at.server.asked == ["k"]


async def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    async with rig() as at:
        at.server.hold.clear()
        busy = []
        for number in range(asking.CALLS_MAX_COUNT):
            at.server.held.clear()
            busy.append(asyncio.create_task(at.authenticator.authenticate(f"t{number}")))
            await at.server.held.wait()
        gone = asyncio.create_task(at.authenticator.authenticate("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        at.server.hold.set()
        await asyncio.gather(*busy)
        await at.authenticator.authenticate("k")
        assert "gone" not in at.server.asked


async def test_when_the_first_who_asked_leaves_the_others_are_answered() -> None:
    async with rig() as at:
        first, other = (asyncio.create_task(at.authenticator.authenticate("k")) for _ in range(2))
        at.server.hold.clear()
        await at.server.held.wait()
        first.cancel()
        at.server.hold.set()
        assert isinstance(await other, Principal)


async def test_a_batch_that_is_too_large_is_asked_in_parts() -> None:
    async with rig() as at:
        at.server.batch_max_count = 5
        answers = await at.together([f"t{number}" for number in range(20)])
        assert all(isinstance(each, Principal) for each in answers)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    ],
)
async def test_a_call_that_fails_as_a_whole_says_nothing_of_the_token(
    code: grpc.StatusCode,
) -> None:
    async with rig() as at:
        at.server.failure = code
        with pytest.raises(Unavailable):
            await at.authenticator.authenticate("k")


async def test_a_build_that_takes_it_for_a_denial_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_OUT_OF_REACH", ())
    with pytest.raises(Unauthenticated):
        await test_a_call_that_fails_as_a_whole_says_nothing_of_the_token(
            grpc.StatusCode.UNAUTHENTICATED
        )


async def test_the_own_credential_s_failure_is_told_as_such() -> None:
    async with rig() as at:
        at.server.failure = grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(FailedPrecondition):
            await at.authenticator.authenticate("k")


async def test_a_server_that_does_not_answer_is_unavailable_in_time() -> None:
    async with rig(timeout=timedelta(seconds=0.2)) as at:
        at.server.hold.clear()
        with pytest.raises(Unavailable):
            await at.authenticator.authenticate("k")
        at.server.hold.set()


async def test_a_long_outage_is_survived_by_what_is_held_for_as_long_as_was_asked_for() -> None:
    async with rig(stale_window=timedelta(seconds=30)) as at:
        await at.together(["k"])
        assert at.authenticator.stale_answers == 0
        await at.lose()
        assert await at.together(2 * ["k"]) == 2 * await at.together(["k"])
        assert at.authenticator.stale_answers == 3
        [new] = await at.together(["new"])
        assert isinstance(new, Unavailable)
        at.pass_time(31)
        with pytest.raises(Unavailable):
            await at.authenticator.authenticate("k")
        assert at.authenticator.stale_answers == 3


async def test_stale_answers_end_when_the_server_is_back() -> None:
    async with rig(stale_window=timedelta(days=1)) as at:
        await at.together(["k"])
        await at.lose()
        await at.together(["k"])
        at.server.changes.append("k")
        at.server.failure = None  # and nobody can watch yet
        async with asyncio.timeout(20):
            while not isinstance((await at.together(["k"]))[0], Unauthenticated):  # noqa: ASYNC110
                await asyncio.sleep(0)
        at.server.failure = grpc.StatusCode.UNAVAILABLE
        [again] = await at.together(["k"])
        assert isinstance(again, Unavailable), "it is known to be revoked"


async def test_nothing_is_stale_unless_it_was_asked_for() -> None:
    async with rig() as at:
        await at.together(["k"])
        await at.lose()
        with pytest.raises(Unavailable):
            await at.authenticator.authenticate("k")


async def test_a_key_is_held_to_its_rate_limit_whether_it_is_known_or_not() -> None:
    limit = rate_limit_pb2.RateLimit(requests=3, period=duration(86400))
    async with rig() as at:
        at.server.allowed = {"rate_limit": limit, "credential": {"name": "keys/a"}}
        answers = await at.together(5 * ["k"])
        answers += await at.together(5 * ["k"])
        refused = [each for each in answers if isinstance(each, ResourceExhausted)]
        assert len(refused) == 7
        assert {each.reason for each in refused} == {"RATE_LIMITED"}
        assert all(each.retry_delay for each in refused)
    async with rig(rate_limits=False) as at:
        at.server.allowed = {"rate_limit": limit, "credential": {"name": "keys/a"}}
        assert all(isinstance(each, Principal) for each in await at.together(10 * ["k"]))


async def test_an_answer_is_known_for_every_client_unless_the_key_is_bound_to_networks() -> None:
    async def asked(at: Rig, address: str) -> bool:
        before = at.server.calls
        await at.authenticator.authenticate("k", client_address=address)
        return at.server.calls > before

    async with rig() as at:
        assert [await asked(at, each) for each in ("192.0.2.1", "198.51.100.7", "")] == [
            True,
            False,
            False,
        ]
    async with rig() as at:
        at.server.allowed = {"allowed_networks": ["192.0.2.0/24", "2001:db8::/32"]}
        assert await asked(at, "192.0.2.1")
        for inside in ("192.0.2.200", "2001:db8::1", "::ffff:192.0.2.3"):
            assert not await asked(at, inside)
        for outside in ("198.51.100.7", "", "2001:db8::1%eth0", "192.0.2.1.", "correct-horse"):
            assert await asked(at, outside), outside


@pytest.mark.parametrize("token", ["\ud800", 8193 * "x", 4097 * "é"])
async def test_what_can_be_no_token_is_denied_without_asking(token: str) -> None:
    async with rig() as at:
        with pytest.raises(Unauthenticated) as denied:
            await at.authenticator.authenticate(token)
        assert denied.value.reason == "TOKEN_MALFORMED"
        assert not at.server.calls


async def test_what_can_be_no_question_is_not_asked() -> None:
    async with rig() as at:
        with pytest.raises(TypeError, match="sequence"):
            await at.authenticator.authenticate("k", require="datasets.read")
        nothing: Any = None
        with pytest.raises(TypeError, match="a token is text"):
            await at.authenticator.authenticate(nothing)
        asked: list[tuple[dict[str, Any], str]] = [
            ({"resource": 5}, "resource is a str, and not int"),
            ({"environment": nothing}, "environment is a str, and not NoneType"),
            ({"client_address": ip_address("192.0.2.1")}, "client_address is a str, and not IPv4"),
            ({"require": [5]}, r"require\[0\] is a str, and not int"),
            ({"require": (each for each in ["a.b"])}, "require is a collection, .* not generator"),
        ]
        for wrong, told in asked:
            with pytest.raises(TypeError, match=told):
                await at.authenticator.authenticate("k", **wrong)
        with pytest.raises(InvalidArgument):
            await at.authenticator.authenticate("k", resource="\ud800")
        assert not at.server.calls


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"resource": 513 * "x"}, "resource"),
        ({"resource": "a\x7f"}, "resource"),
        ({"require": 101 * ["a.b"]}, "required_permissions"),
        ({"require": ["a.b", 129 * "x"]}, "required_permissions[1]"),
        ({"environment": 100_000 * "x"}, "required_environment"),
        ({"client_address": 100_000 * "1"}, "client_address"),
    ],
)
async def test_what_no_server_takes_fails_alone_and_names_the_field(
    asked: dict[str, Any], field: str
) -> None:
    async with rig() as at:
        with pytest.raises(InvalidArgument) as refused:
            await at.authenticator.authenticate("k", **asked)
        assert refused.value.reason == "FIELD_INVALID"
        assert [each.field for each in refused.value.violations] == [field]
        assert not at.server.calls


async def test_the_largest_questions_there_can_be_are_asked_together() -> None:
    async with rig() as at:
        require = [f"{number:03}".ljust(128, "x") for number in range(100)]
        asked = (
            at.authenticator.authenticate(
                f"t{number:04}".ljust(8192, "x"),
                resource=512 * "\N{GRINNING FACE}",
                require=require,
            )
            for number in range(128)
        )
        answers = await asyncio.gather(*asked)
        assert all(isinstance(each, Principal) for each in answers)
        assert at.server.calls == 1


async def test_a_secret_is_taken_as_it_is() -> None:
    async with rig() as at:
        await at.authenticator.authenticate(Secret("k"))
        await at.authenticator.authenticate("k")
        assert at.server.asked == ["k"]


async def test_what_is_known_is_answered_without_a_turn_of_the_loop() -> None:
    async with rig() as at:
        known = await at.authenticator.authenticate("k", require=["a.b"])
        again = at.authenticator.authenticate("k", require=["a.b"])
        with pytest.raises(StopIteration) as answered:
            again.send(None)
        assert answered.value.value is known


async def test_what_a_crash_shows_of_it_has_no_token() -> None:
    async with rig() as at:
        at.server.hold.clear()
        asking_about = asyncio.create_task(at.authenticator.authenticate("kw_presented"))
        await at.server.held.wait()
        questions = at.authenticator._questions
        assert questions is not None
        shown = repr((at.authenticator, questions, questions._sent, questions._tasks))
        shown += repr((at.authenticator._cache, at.authenticator._watch))
        assert "kw_" not in shown
        at.server.hold.set()
        await asking_about


async def test_nothing_is_left_at_the_end_and_who_still_waits_is_told() -> None:
    async with serving() as (server, _):
        tasks = asyncio.all_tasks()
        authenticator = Authenticator(f"127.0.0.1:{server.port}", "kw_own")
        for _ in range(2):  # it may be begun again
            async with authenticator:
                async with authenticator:  # as an application and its middleware may
                    await asyncio.wait_for(authenticator.leased(), 20)
                await asyncio.wait_for(authenticator.leased(), 0.1)
                assert authenticator._questions is not None
                channel = authenticator._questions.channel
                server.hold.clear()
                server.held.clear()
                waiting = asyncio.create_task(authenticator.authenticate("k"))
                await server.held.wait()
            with pytest.raises(Unavailable):
                await waiting
            assert not authenticator.is_leased
            assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
            server.hold.set()
        async with asyncio.timeout(20):
            while server.streams:  # noqa: ASYNC110  the server hears of it later
                await asyncio.sleep(0.01)
        own = {task for task in asyncio.all_tasks() - tasks if "keywright" in repr(task)}
        assert not own
        with pytest.raises(RuntimeError, match="enter"):
            await authenticator.authenticate("k")


async def test_in_another_event_loop_it_says_so_instead_of_being_out_of_reach() -> None:
    async def elsewhere(authenticator: Authenticator) -> None:
        for use in (
            authenticator.authenticate("k"),
            authenticator.leased(),
            authenticator.__aenter__(),
        ):
            with pytest.raises(RuntimeError, match="in another event loop: make one for each"):
                await use

    async with rig() as at:
        await asyncio.to_thread(asyncio.run, elsewhere(at.authenticator))
        await at.authenticator.authenticate("k")


async def test_a_program_starts_without_a_server_and_is_told_why_it_is_not_leased() -> None:
    async with Authenticator("127.0.0.1:1", "kw_own") as authenticator:
        assert not authenticator.is_leased
        with pytest.raises(Unavailable):
            await authenticator.authenticate("k")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(authenticator.leased(), 0.1)
        async with asyncio.timeout(20):
            while authenticator.trouble is None:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0.01)
        assert isinstance(authenticator.trouble, Unavailable)


async def test_what_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYWRIGHT_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="KEYWRIGHT_API_KEY"):
        keywright.Authenticator()
    with pytest.raises(ConfigurationError):
        async with Authenticator("ftp://nowhere", "kw_own"):
            pytest.fail("it was begun")


async def test_certificates_are_those_that_the_configuration_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('uri = "grpcs://localhost:1"\nca_file = "of-the-file.pem"\n')
    monkeypatch.setenv("KEYWRIGHT_CLIENT_CONFIG", str(file))
    monkeypatch.delenv("KEYWRIGHT_URI", raising=False)
    with pytest.raises(ConfigurationError, match=r"of-the-file\.pem"):
        async with Authenticator(api_key="kw_own"):
            pytest.fail("it was begun")
    (tmp_path / "of-the-file.pem").write_bytes(ONE.certificate)
    async with Authenticator(api_key="kw_own") as authenticator:
        assert not authenticator.is_leased
