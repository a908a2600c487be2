# SPDX-License-Identifier: Apache-2.0
"""Who reaches what, asked with packets: from the host, from a container, from the provider network, from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab import PREFIX, Lab, Play

CHECK = ("/usr/local/libexec/hotstack-os-infra-setup", "check")

# Stand-ins for a guest with a floating IP, and for a machine that knows no way back into our networks.
GUEST = "172.31.0.140"
OUTSIDE = "198.51.100.2"
HOST_OUTSIDE = "198.51.100.1"

MAKE = f"""
set -eu
ip netns add t-guest
ovs-vsctl add-port hot-ex t-guest -- set interface t-guest type=internal
ip link set t-guest netns t-guest
ip -n t-guest address add {GUEST}/25 dev t-guest
ip -n t-guest link set t-guest up
ip -n t-guest route add default via 172.31.0.129
ip netns exec t-guest ethtool --features t-guest tx off >/dev/null
ip netns add t-outside
ip link add t-outside type veth peer name inner netns t-outside
ip address add {HOST_OUTSIDE}/30 dev t-outside
ip link set t-outside up
ip -n t-outside address add {OUTSIDE}/30 dev inner
ip -n t-outside link set inner up
cat >/run/t-listen.py
systemd-run --quiet --unit=t-listen-outside ip netns exec t-outside python3 /run/t-listen.py
systemd-run --quiet --unit=t-listen-host python3 /run/t-listen.py
"""

UNMAKE = """
systemctl stop t-listen-host t-listen-outside
ovs-vsctl --if-exists del-port hot-ex t-guest
ip link delete t-outside
ip netns delete t-guest
ip netns delete t-outside
rm -f /run/t-listen.py
"""

# Tells whoever connects the address that it sees.
LISTEN = """
import socket
server = socket.create_server(("0.0.0.0", 2222))
while True:
    peer, address = server.accept()
    peer.sendall(address[0].encode())
    peer.close()
"""

# Prints a line for each target: `open`, and what a listener of ours said, or `closed`.
PROBE = """
import socket, sys
for target in sys.argv[1:]:
    address, port = target.split(":")
    try:
        with socket.create_connection((address, int(port)), timeout=5) as connection:
            print("open", connection.recv(64).decode() if port == "2222" else "")
    except OSError as error:
        print("closed", error)
"""

# Name servers that have their own address for whatever is asked.
UPSTREAMS = {"t-upstream-1": "127.0.0.71", "t-upstream-2": "127.0.0.72"}
UPSTREAM = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    asked, peer = server.recvfrom(512)
    end = asked.index(b"\\0", 12) + 5
    head = asked[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
    answer = bytes.fromhex("c00c 0001 0001 0000003c 0004") + socket.inet_aton(sys.argv[1])
    server.sendto(head + asked[12:end] + answer, peer)
"""

DIG = """
for server in 172.31.0.129 172.31.0.10; do
    for way in +notcp +tcp; do
        dig +short +time=3 +tries=1 $way @$server keystone.hotstack-os.local
    done
done
"""

# Names who sends it as the router for everything.
ADVERT = """
import socket, struct
link = socket.if_nametoindex("t-guest")
sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
sender.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, link))
"""

# What breaks, and what the check then says.
DAMAGE = {
    "ip link set hot-int down": "the interface hot-int, up",
    "ip address delete 172.31.0.10/32 dev hot-ex": "the address 172.31.0.10/32",
    "nft delete table inet hotstack_os": "the table of rules",
    "systemctl disable hotstack-os-infra-setup": "hotstack-os-infra-setup.service: is-enabled",
    "echo >>/etc/hotstack-os/network.nft": "a start since these files were written",
}

NAMES = ("172.31.0.129:53", "172.31.0.10:53")
KEYSTONE = "172.31.0.129:5000"
STATISTICS = "172.31.0.129:8404"
MEMCACHED = "172.31.0.5:11211"
MARIADB = "172.31.0.3:3306"
INNER = (MARIADB, "172.31.0.4:5672", "172.31.0.31:6641", "172.31.0.31:6642")
OTHERS = f"{OUTSIDE}:2222"
HOST = tuple(f"{address}:2222" for address in ("172.31.0.129", "172.31.0.10", "172.31.0.1", HOST_OUTSIDE))

OPEN = {
    "host": (*NAMES, KEYSTONE, STATISTICS, MEMCACHED, OTHERS),
    "container": (*NAMES, KEYSTONE, *INNER, OTHERS),
    "guest": (*NAMES, KEYSTONE, OTHERS),
}
CLOSED = {
    "container": HOST,
    "guest": (*HOST, STATISTICS, MEMCACHED, *INNER, "172.31.0.1:53"),
}


@pytest.fixture(scope="module")
def network(deployed: Lab) -> Iterator[Lab]:
    """Return the lab host with the stand-ins in place."""
    deployed.shell(UNMAKE, check=False)
    deployed.run("sh", "-c", MAKE, data=LISTEN)
    yield deployed
    deployed.shell(UNMAKE, check=False)


def within(lab: Lab, place: str) -> list[str]:
    """Return what puts a command into a place."""
    if place == "host":
        return []
    if place == "container":
        pid = lab.run("podman", "inspect", "--format={{.State.Pid}}", f"{PREFIX}memcached").strip()
        return ["nsenter", "--target", pid, "--net"]
    return ["ip", "netns", "exec", f"t-{place}"]


def ask(lab: Lab, place: str, *targets: str) -> dict[str, str]:
    """Return what each target said."""
    lines = lab.run(*within(lab, place), "python3", "-c", PROBE, *targets).splitlines()
    return dict(zip(targets, lines, strict=True))


def assert_rules(lab: Lab) -> None:
    """See that each place reaches what it should, and nothing else."""
    for place, reachable in OPEN.items():
        refused = CLOSED.get(place, ())
        found = {target: said.split()[0] for target, said in ask(lab, place, *reachable, *refused).items()}
        assert found == {**dict.fromkeys(reachable, "open"), **dict.fromkeys(refused, "closed")}, place


def test_who_reaches_what(network: Lab) -> None:
    assert_rules(network)


@pytest.mark.parametrize("place", ["guest", "container"])
def test_to_the_outside_all_are_the_host(network: Lab, place: str) -> None:
    assert ask(network, place, OTHERS)[OTHERS] == f"open {HOST_OUTSIDE}"


def test_the_outside_reaches_no_container(network: Lab) -> None:
    network.run("ip", "-n", "t-outside", "route", "add", "172.31.0.0/24", "via", HOST_OUTSIDE)
    said = ask(network, "outside", KEYSTONE, MEMCACHED, MARIADB, STATISTICS)
    network.run("ip", "-n", "t-outside", "route", "delete", "172.31.0.0/24")
    assert [answer.split()[0] for answer in said.values()] == ["open", "closed", "closed", "closed"]


@pytest.mark.parametrize("place", ["host", "container", "guest"])
def test_names(network: Lab, place: str) -> None:
    answers = network.run(*within(network, place), "sh", "-c", DIG).split()
    assert answers == ["172.31.0.129"] * 4


def test_other_names_are_asked_where_the_host_asks(network: Lab) -> None:
    """Give the host one name server after the other, and ask ours, which follows."""
    before = network.run("cat", "/etc/resolv.conf")
    for unit, address in UPSTREAMS.items():
        start = ("systemd-run", "--quiet", "--collect", f"--unit={unit}", "python3", "-c", UPSTREAM, address)
        network.run(*start)
    try:
        for number, address in enumerate(UPSTREAMS.values()):
            # The last of several quick changes counts.
            network.shell(f"for last in 127.0.0.70 {address}; do echo nameserver $last >/etc/resolv.conf; done")
            dig = ("dig", "+short", "+time=1", "+tries=1", "@172.31.0.129", f"name{number}.example.org")
            asked = within(network, "guest")
            what = f"names come from {address}"
            network.wait(lambda: network.run(*asked, *dig, check=False).strip() == address, what, 20, 0.5)  # noqa: B023
    finally:
        network.run("tee", "/etc/resolv.conf", data=before)
        network.run("systemctl", "stop", *UPSTREAMS)
    copy = "/var/lib/hotstack-os/runtime/resolv/resolv.conf"
    network.wait(lambda: network.run("cat", copy) == before, "ours asks as before", 20, 0.5)


def test_a_guest_does_not_become_the_router_of_the_host(network: Lab) -> None:
    network.shell("sysctl --quiet --write net.ipv6.conf.hot-ex.accept_ra=1")
    network.run(*within(network, "guest"), "python3", "-c", ADVERT)
    # What was sent before this has arrived once this is answered.
    assert ask(network, "guest", KEYSTONE)[KEYSTONE].startswith("open")
    assert network.run("ip", "-6", "route", "show", "default", "dev", "hot-ex") == ""


def test_a_reload_of_firewalld_changes_nothing(network: Lab) -> None:
    network.run("firewall-cmd", "--reload")
    zones = network.run("firewall-cmd", "--get-active-zones")
    assert "hotstack-os" in zones
    assert "hotstack-external" in zones
    assert_rules(network)


def test_the_default_zone_does_not_masquerade(network: Lab) -> None:
    assert network.run("firewall-cmd", "--query-masquerade", check=False).strip() == "no"


def test_rules_without_firewalld(network: Lab) -> None:
    network.run("systemctl", "stop", "firewalld")
    try:
        assert_rules(network)
    finally:
        network.run("systemctl", "start", "firewalld")
        # What podman added to zones at run time it adds again.
        network.run("podman", "network", "reload", "--all")
    assert_rules(network)


def test_a_restart_of_the_setup_disturbs_no_container(network: Lab) -> None:
    before = {name: record["Id"] for name, record in network.containers().items()}
    network.run("systemctl", "restart", "hotstack-os-infra-setup")
    assert {name: record["Id"] for name, record in network.containers().items()} == before
    assert network.run(*CHECK) == ""


def layer(lab: Lab, *options: str) -> int:
    """Run this layer alone, and return how many tasks changed something."""
    play = [{"hosts": "hotstack_os", "roles": ["hotstack.os.ovs_network"]}]
    lab.run("sh", "-c", "cat >/run/t-play.yml", data=json.dumps(play))
    done = lab.run("ansible-playbook", "/run/t-play.yml", *options)
    return Play(0, done, 0).changed


def test_the_next_run_mends_and_leaves_others_alone(network: Lab) -> None:
    zone = '<?xml version="1.0" encoding="utf-8"?>\n<zone><port port="4711" protocol="tcp"/></zone>\n'
    network.run("sh", "-c", "cat >/etc/firewalld/zones/t-foreign.xml && firewall-cmd --reload", data=zone)
    foreign = ("t-foreign", "datapath_type=netdev", "external_ids:owner=somebody")
    network.run("ovs-vsctl", "add-br", "t-foreign", "--", "set", "bridge", *foreign)
    containers = {name: record["Id"] for name, record in network.containers().items()}
    try:
        network.shell("\n".join(("set -e", *DAMAGE)))
        assert network.run(*CHECK).splitlines() == list(DAMAGE.values())
        assert layer(network, "--check") > 0
        assert layer(network) > 0
        assert network.run(*CHECK) == ""
        assert layer(network) == 0

        columns = ("--format=json", "--columns=datapath_type,external_ids")
        bridge = json.loads(network.run("ovs-vsctl", *columns, "list", "Bridge", "t-foreign"))
        assert bridge["data"] == [["netdev", ["map", [["owner", "somebody"]]]]]
        assert network.run("cat", "/etc/firewalld/zones/t-foreign.xml") == zone
        assert network.run("firewall-cmd", "--zone=t-foreign", "--list-ports").strip() == "4711/tcp"
        assert {name: record["Id"] for name, record in network.containers().items()} == containers
    finally:
        network.run("ovs-vsctl", "--if-exists", "del-br", "t-foreign")
        network.shell("rm -f /etc/firewalld/zones/t-foreign.xml /run/t-play.yml && firewall-cmd --reload")
    assert_rules(network)
