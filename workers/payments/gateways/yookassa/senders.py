"""From where YooKassa sends its webhooks."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from workers.settings import SettingsError

Network: TypeAlias = IPv4Network | IPv6Network

DEFAULT_NETWORKS: Final[tuple[Network, ...]] = (
    IPv4Network("77.75.153.0/25"),
    IPv4Network("77.75.154.128/25"),
    IPv4Network("77.75.156.11/32"),
    IPv4Network("77.75.156.35/32"),
    IPv4Network("185.71.76.0/27"),
    IPv4Network("185.71.77.0/27"),
    IPv6Network("2a02:5180:0:1509::/64"),
    IPv6Network("2a02:5180:0:1533::/64"),
    IPv6Network("2a02:5180:0:2655::/64"),
    IPv6Network("2a02:5180:0:2669::/64"),
)
"""As YooKassa publishes them."""


def parse_networks(name: str, text: str) -> tuple[Network, ...]:
    """Read networks or single addresses with commas between them.

    Raises:
        SettingsError: there is none, one is not a network, or one is the whole internet.
    """
    try:
        networks = tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{name} must be networks such as 77.75.153.0/25, with commas between them") from error
    if not networks or any(network.prefixlen == 0 for network in networks):
        raise SettingsError(f"{name} must name networks, and not all of them")
    return networks


def is_trusted(remote_address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks. An IPv4 address may come dressed up as an IPv6 one."""
    try:
        address = ip_address(remote_address)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)
