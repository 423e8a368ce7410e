"""A server that has an operator beside its first admin, for what only operators may call."""

from dataclasses import dataclass

from tests.support.service import Caller, Service, first_admin

OPERATORS = "workspaces/system"


@dataclass
class Operated(Service):
    """A service, and the first admin of the workspace `system`: the first operator."""

    operator_token: str = ""

    @property
    def operator(self) -> Caller:
        """The first operator."""
        return Caller(self.channel, self.operator_token)


async def operated(service: Service) -> Operated:
    """The same service, with an operator."""
    return Operated(**vars(service), operator_token=await first_admin(service.dsn, "system"))
