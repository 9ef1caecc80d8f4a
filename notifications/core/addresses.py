"""Which addresses a channel may call. Decided on the address itself, after its name has been resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow_private`: loopback and private ranges may be called. `refused`: hosts (names or addresses) with their ports
    that never may, such as our own stores; a Unix socket stands there as its path with port 0.
    """

    allow_private: bool = False
    refused: tuple[tuple[str, int], ...] = ()

    def within(self, outer: Policy) -> Policy:
        """What both allow."""
        return Policy(self.allow_private and outer.allow_private, (*outer.refused, *self.refused))


METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    )
)
"""Where clouds hand out credentials and settings to their machines."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_NEVER: tuple[tuple[str, tuple[Network, ...]], ...] = (
    ("unspecified, and means this machine", _networks("0.0.0.0/8", "::/128")),
    ("link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("multicast", _networks("224.0.0.0/4", "ff00::/8")),
    ("the broadcast address", _networks("255.255.255.255/32")),
)
_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_PRIVATE = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7", "fec0::/10",
    "64:ff9b:1::/48",
)  # fmt: skip
_RESERVED = _networks(
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
)  # fmt: skip
_UNICAST_V6 = ip_network("2000::/3")


def judge_address(
    ip: str, port: int, *, allow_private: bool, refused: Sequence[tuple[str, int]] = ()
) -> str | None:
    """None where `ip` may be called at `port`, else why not, as the end of a sentence that begins with the address.

    An IPv6 address that leads to an IPv4 one (mapped, NAT64, 6to4, Teredo, ISATAP) is judged as itself and as that one.
    """
    try:
        written = ip_address(ip)
    except ValueError:
        return "is no IP address"
    if not 0 < port < 65_536:
        return f"has no port {port}; ports are 1 to 65535"
    if isinstance(written, IPv6Address) and written.scope_id:
        written = ip_address(int(written).to_bytes(16, "big"))
    meant = tuple(_meant(written))
    for address in meant:
        reason = _judge(address, port, allow_private, refused)
        if reason is not None:
            return reason if address == written else f"leads to {address}, which {reason}"
    return None


def _judge(
    address: Address, port: int, allow_private: bool, refused: Sequence[tuple[str, int]]
) -> str | None:
    if _is_refused(address, port, refused):
        return "is one of Selfheal's own stores or engines, which are never called"
    if address in METADATA:
        return "is a cloud's metadata service, which is never called"
    for what, networks in _NEVER:
        if _within(address, networks):
            return f"is {what}; such addresses are never called"
    for what, networks in (("loopback", _LOOPBACK), ("private", _PRIVATE)):
        if _within(address, networks):
            return None if allow_private else f"is {what}, and this channel may not call private addresses"
    if _within(address, _RESERVED) or (address.version == 6 and address not in _UNICAST_V6):
        return "is reserved; such addresses are never called"
    return None


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _is_refused(address: Address, port: int, refused: Sequence[tuple[str, int]]) -> bool:
    """A store on loopback is refused under every loopback address: most listen on all of them."""
    for host, its_port in refused:
        if its_port != port:
            continue
        try:
            store = ip_address(host)
        except ValueError:
            continue
        meant = tuple(_meant(store))
        if address in meant:
            return True
        if _within(address, _LOOPBACK) and any(_within(one, _LOOPBACK) for one in meant):
            return True
    return False


def _meant(address: Address) -> Iterator[Address]:
    """The IPv4 address that an IPv6 one leads to, where there is one; and the address itself, unless it is but a
    spelling of the other.
    """
    if not isinstance(address, IPv6Address):
        yield address
        return
    number = int(address)
    low = IPv4Address(number & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or (number >> 32 == 0 and number > 1):
        yield low
        return
    if any(address in network for network in _EMBEDDING):
        yield low
        if address in _LOCAL_NAT64:
            yield address
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif (number >> 32) & 0xFDFF_FFFF == 0x5EFE:
        yield low
    yield address


_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
"""Of a network's own (RFC 8215): which of its bytes are the IPv4 address is that network's matter."""
_EMBEDDING = _networks("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")
"""NAT64 and SIIT: the last four bytes are the IPv4 address."""
