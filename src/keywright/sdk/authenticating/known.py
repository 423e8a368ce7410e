"""An answer of `Authenticate` that is kept ready."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from keywright.sdk.values.reading import read
from keywright.sdk.values.results import Principal
from keywright.v1 import auth_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Known:
    """Who presents a token, and from which networks it may come; without any, from all."""

    principal: Principal
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, answer: pb.AuthenticateResponse) -> "Known":
        """What a server has answered."""
        networks = tuple(ip_network(each) for each in answer.allowed_networks)
        return cls(read(Principal, answer), networks)

    def admits(self, client_address: str) -> bool:
        """Whether it holds for a client there. If it does not, ask the server, which knows why."""
        if not self.networks:
            return True
        try:
            address = ip_address(client_address)
        except ValueError:
            return False
        # As the server has it: an IPv4-mapped address is the IPv4 address that it is.
        address = getattr(address, "ipv4_mapped", None) or address
        return "%" not in client_address and any(address in each for each in self.networks)
