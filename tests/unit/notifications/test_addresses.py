"""Which addresses may be called: a table of addresses, and their disguises."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.core.addresses import Policy, judge_address

NAT64 = int(IPv6Address("64:ff9b::"))

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "223.5.5.5",
    "2606:4700:4700::1111",
    "2002:808:808::1",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "100.64.0.1", "100.127.255.255", "198.18.0.1", "fc00::1", "fd12:3456::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:0a00:0001", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:c0a8:101::1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:7f00:1",
    "64:ff9b:1:a00:0:100:808:808",
]  # fmt: skip
NEVER = [
    ("0.0.0.0", "unspecified"), ("0.1.2.3", "unspecified"), ("::", "unspecified"), ("::ffff:0.0.0.0", "unspecified"),
    ("169.254.1.1", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"), ("febf::1", "link-local"),
    ("169.254.169.254", "metadata"), ("169.254.170.2", "metadata"), ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"), ("192.0.0.192", "metadata"), ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"), ("::ffff:169.254.169.254", "metadata"), ("64:ff9b::a9fe:a9fe", "metadata"),
    ("2002:a9fe:a9fe::1", "metadata"), ("::a9fe:a9fe", "metadata"), ("2606:4700::5efe:a9fe:a9fe", "metadata"),
    ("224.0.0.1", "multicast"), ("239.1.2.3", "multicast"), ("ff02::1", "multicast"),
    ("255.255.255.255", "broadcast"), ("240.0.0.1", "reserved"), ("192.0.2.1", "reserved"), ("198.51.100.7", "reserved"),
    ("203.0.113.9", "reserved"), ("2001:db8::1", "reserved"), ("100::1", "reserved"), ("4000::1", "reserved"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),
]  # fmt: skip


@pytest.mark.parametrize("ip", PUBLIC)
@pytest.mark.parametrize("allow_private", [True, False])
def test_public_addresses_are_allowed(ip: str, allow_private: bool) -> None:
    """Protects the services that people really use."""
    assert judge_address(ip, 443, allow_private=allow_private) is None


@pytest.mark.parametrize("ip", PRIVATE)
def test_private_addresses_only_where_allowed(ip: str) -> None:
    """Protects the network around us from whoever may write a channel's address, however it is spelt."""
    reason = judge_address(ip, 80, allow_private=False)
    assert reason is not None
    assert "may not call private addresses" in reason
    assert judge_address(ip, 80, allow_private=True) is None


@pytest.mark.parametrize(("ip", "why"), NEVER)
@pytest.mark.parametrize("allow_private", [True, False])
def test_some_addresses_are_never_called(ip: str, why: str, allow_private: bool) -> None:
    """Protects the machine's credentials in the cloud, also where private addresses are allowed."""
    reason = judge_address(ip, 80, allow_private=allow_private)
    assert reason is not None
    assert why in reason


@pytest.mark.parametrize(
    ("ip", "port", "is_refused"),
    [
        ("10.0.0.5", 6379, True),
        ("::ffff:10.0.0.5", 6379, True),
        ("64:ff9b::a00:5", 6379, True),
        ("10.0.0.5", 6380, False),
        ("10.0.0.6", 6379, False),
        ("127.0.0.1", 5432, True),
        ("127.9.9.9", 5432, True),
        ("::1", 5432, True),
        ("127.0.0.1", 5433, False),
        ("8.8.4.4", 5672, True),
        ("fd12::9", 5672, True),
        ("fd12::a", 5672, False),
    ],
)
def test_own_stores_are_never_called(ip: str, port: int, is_refused: bool) -> None:
    """Protects Redis, which takes an HTTP request for commands, and the other stores; on loopback under every name."""
    refused = [
        ("redis", 6379),
        ("10.0.0.5", 6379),
        ("127.0.0.1", 5432),
        ("8.8.4.4", 5672),
        ("fd12:0::9", 5672),
    ]
    reason = judge_address(ip, port, allow_private=True, refused=refused)
    assert (reason is not None) is is_refused
    assert reason is None or "own stores" in reason


@pytest.mark.parametrize(
    "ip", ["localhost", "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "", "::g", "1.2.3.4:80"]
)
def test_what_is_no_address_is_refused(ip: str) -> None:
    """Protects from judging a text that the system would read in another way."""
    assert judge_address(ip, 80, allow_private=True) == "is no IP address"


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_impossible_port_is_refused(port: int) -> None:
    """Protects from ports that the system takes modulo something."""
    assert "no port" in str(judge_address("8.8.8.8", port, allow_private=True))


@given(st.ip_addresses(v=4))
def test_disguise_changes_nothing(ip: IPv4Address) -> None:
    """Protects the whole table: an address in IPv6 clothes is allowed exactly where it is without."""
    for allow_private in (True, False):
        plain = judge_address(str(ip), 80, allow_private=allow_private)
        for dressed in (f"::ffff:{ip}", str(IPv6Address(NAT64 + int(ip)))):
            assert (judge_address(dressed, 80, allow_private=allow_private) is None) == (plain is None)


@given(st.ip_addresses())
def test_what_is_not_global_needs_permission(ip: IPv4Address | IPv6Address) -> None:
    """Protects from ranges that the table forgot: none that the registry calls not global passes as public."""
    if not ip.is_global:
        assert judge_address(str(ip_address(ip)), 80, allow_private=False) is not None


def test_policies_within_each_other_allow_what_both_do() -> None:
    """Protects from a channel that would widen the policy it is run under."""
    outer = Policy(allow_private=False, refused=(("a", 1),))
    inner = Policy(allow_private=True, refused=(("b", 2),))
    assert inner.within(outer) == Policy(allow_private=False, refused=(("a", 1), ("b", 2)))
