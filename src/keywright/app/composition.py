"""The composition root: which parts there are, and what each is given."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from keywright.app import sealing
from keywright.app.config import Config
from keywright.domain.sessions import SessionTimes
from keywright.domain.token import TokenFormat
from keywright.security.cache import Cache
from keywright.security.entropy import system_entropy
from keywright.security.failure_limit import FailureLimit
from keywright.security.hash_pool import HashPool
from keywright.security.id_tokens import IdTokens
from keywright.security.imported_hasher import ImportedHasher
from keywright.security.proofs import Proofs
from keywright.security.provider_keys import ProviderKeys, fetching
from keywright.security.token_hasher import TokenHasher
from keywright.service.admission import Admission
from keywright.service.audit import Audit
from keywright.service.audit_keys import AuditKeys
from keywright.service.audit_retention import AuditRetention
from keywright.service.audit_verification import AuditVerification
from keywright.service.authenticate import Authenticate
from keywright.service.bootstrap import Bootstrap
from keywright.service.explain import ExplainAccess
from keywright.service.grants import Grants
from keywright.service.imported_tokens import ImportedTokens
from keywright.service.installation import Installation
from keywright.service.key_changes import KeyChanges
from keywright.service.key_creation import KeyCreation
from keywright.service.key_import import KeyImport
from keywright.service.keys import Keys
from keywright.service.leaks import Leaks
from keywright.service.memory import Memory
from keywright.service.minting import Mint
from keywright.service.mutation import Repetitions
from keywright.service.notices import Notices
from keywright.service.opening import Opening
from keywright.service.proving import Proving
from keywright.service.replica.history import NOWHERE, History
from keywright.service.replica.lease import Lease, boot_time
from keywright.service.replica.replica import Replica
from keywright.service.replica.watchers import Watchers
from keywright.service.retention import Retention
from keywright.service.roles import Roles
from keywright.service.sealing import Sealer
from keywright.service.sessions import Sessions
from keywright.service.settling import Settling
from keywright.service.sign_in import SignIn
from keywright.service.token_shapes import TokenShapes
from keywright.service.usage import Usage
from keywright.service.usage_counters import UsageCounters
from keywright.service.users import Users
from keywright.service.warm_up import WarmUp
from keywright.service.workspaces import Workspaces
from keywright.storage.database import Database
from keywright.storage.probe import Probe
from keywright.storage.replicas import replica_rows
from keywright.wire.rendering import Rendering
from keywright.wire.rpc import Services, Settings
from keywright.wire.sealing import Seal

_PROBE_PATIENCE = timedelta(seconds=2)
_LEASE_PATIENCE = timedelta(seconds=1)
# Of the caches' bytes, for proofs of slow hashes: few keys have one, and proofs are small.
_PROOFS_SHARE = 16
_MARK_KEY_BYTES = 32
# Seconds' worth of failures that a source that was quiet may have at once.
_BURST = 10
# Slow hashes of imported keys, each up to seconds of one thread: who comes later may try again.
_SLOW_HASHES_WAITING = 32


@dataclass(frozen=True, slots=True)
class Parts:
    """The long-lived parts of one process."""

    config: Config
    dsn: str
    database: Database
    probe: Probe
    hasher: TokenHasher
    token_format: TokenFormat
    usage: UsageCounters
    notices: Notices
    retention: Retention
    imported: ImportedTokens
    audit_keys: AuditKeys
    sealer: Sealer
    audit_retention: AuditRetention

    @classmethod
    async def open(cls, config: Config, dsn: str) -> Self:
        """Make the parts. Nothing is connected yet: the first use of the database does that."""
        database = await Database.open(
            dsn,
            size=config.database_pool_size,
            connect_timeout=config.database_connect_timeout,
            statement_timeout=config.database_statement_timeout,
        )
        hasher = TokenHasher(
            HashPool(threads=config.argon2_threads, max_waiting=config.argon2_max_waiting),
            config.peppers,
            system_entropy,
        )
        audit_keys = AuditKeys(database, config.audit_signer(), config.audit_public_keys)
        return cls(
            config=config,
            dsn=dsn,
            database=database,
            probe=Probe(dsn, _PROBE_PATIENCE),
            hasher=hasher,
            token_format=TokenFormat(config.token_brand),
            usage=UsageCounters(database),
            notices=Notices(database),
            retention=Retention(database, config.usage_retention),
            imported=ImportedTokens(
                database,
                TokenShapes(database, time.monotonic),
                ImportedHasher(
                    hasher,
                    HashPool(threads=1, max_waiting=_SLOW_HASHES_WAITING),
                    FailureLimit(time.monotonic),
                    Proofs(system_entropy, config.cache_bytes // _PROOFS_SHARE),
                ),
            ),
            audit_keys=audit_keys,
            sealer=Sealer(database, audit_keys, sealing.sealed, sealing.found_broken),
            audit_retention=AuditRetention(database, config.audit_retention, sealing.removal_held),
        )

    async def close(self) -> None:
        """Close what is open."""
        self.probe.close()
        await self.database.close()
        self.hasher.pool.close()
        self.imported.hasher.slow.close()

    def settings(self) -> Settings:
        """What the operator decides about calls."""
        return Settings(
            authenticate_callers=self.config.authenticate_callers,
            default_deadline=self.config.default_deadline,
            max_deadline=self.config.max_deadline,
            max_request_bytes=self.config.max_request_bytes,
            max_response_bytes=self.config.max_response_bytes,
        )

    def replica(self, lease_length: timedelta) -> Replica:
        """What keeps this process's caches true."""
        direct = self.config.database_direct_url
        dsn = self.dsn if direct is None else direct.reveal()
        # An answer that takes longer than a lease is of no use.
        patience = max(lease_length, _LEASE_PATIENCE)
        history, lease = History(NOWHERE), Lease(lease_length, boot_time)
        return Replica(
            lambda on_change: replica_rows(dsn, patience=patience, on_change=on_change),
            history,
            lease,
            Watchers(history, lease),
        )

    def services(self, signing_key: bytes, lease_length: timedelta) -> Services:
        """The use cases behind the wire."""
        database, mint = self.database, Mint(self.hasher, system_entropy)
        seal = Seal(signing_key)
        replica, rendering = self.replica(lease_length), Rendering(seal)
        memory = Memory(
            self.token_format,
            self.imported.shapes,
            Cache(self.config.cache_bytes - self.config.cache_bytes // _PROOFS_SHARE),
            system_entropy(_MARK_KEY_BYTES),
            replica.lease,
        )
        admission = Admission(
            self._failures(self.config.failures_per_address),
            self._failures(self.config.failures_per_caller),
        )
        proving = Proving(
            database, self.hasher, self.imported, replica, rendering, memory, admission
        )
        authenticate = Authenticate(
            memory, proving, admission, replica, rendering, self.usage, self.notices
        )
        return Services(
            audit=Audit(database),
            audit_verification=AuditVerification(database, self.audit_keys),
            authenticate=authenticate,
            explain=ExplainAccess(database),
            grants=Grants(database, system_entropy),
            key_changes=KeyChanges(database, mint, self.token_format),
            key_creation=KeyCreation(database, mint, self.token_format),
            key_import=KeyImport(database, self.imported.shapes, self.token_format, system_entropy),
            keys=Keys(database),
            leaks=Leaks(database, proving, self.notices),
            notices=self.notices,
            repetitions=Repetitions(database),
            roles=Roles(database),
            sessions=Sessions(database),
            settling=Settling(lease_length, boot_time, authenticate.replica.caught_up),
            sign_in=SignIn(
                database,
                mint,
                self.token_format,
                authenticate,
                Opening(
                    mint,
                    self.token_format,
                    SessionTimes(self.config.session_idle_timeout, self.config.session_lifetime),
                ),
                self._id_tokens(),
            ),
            usage=Usage(database),
            users=Users(database, system_entropy),
            warm_up=WarmUp(database, proving),
            workspaces=Workspaces(database),
            seal=seal,
        )

    def _id_tokens(self) -> IdTokens | None:
        config = self.config
        if config.oidc_issuer is None or not (config.oidc_client_id and config.oidc_jwks_url):
            return None
        keys = ProviderKeys(fetching(config.oidc_jwks_url), time.monotonic)
        return IdTokens(config.oidc_issuer, config.oidc_client_id, keys, time.time)

    def _failures(self, per_second: int) -> FailureLimit:
        return FailureLimit(time.monotonic, burst=_BURST * per_second, per_second=per_second)

    async def bootstrap(self) -> Bootstrap:
        """The first workspace and admin.

        Raises:
            PepperMismatchError: the database was written with other peppers than are configured.
        """
        await Installation(self.database).agree_on_peppers(self.config.peppers)
        return Bootstrap(self.database, Mint(self.hasher, system_entropy), self.token_format)
