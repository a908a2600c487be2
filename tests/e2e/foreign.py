# SPDX-License-Identifier: Apache-2.0
"""What somebody else has on the host: it is there before anything is deployed, and must never change."""

from __future__ import annotations

import json

from lab import Lab

DOMAIN = """
<domain type='qemu'>
  <name>foreign</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices/>
</domain>
"""

ZONE = """<?xml version="1.0" encoding="utf-8"?>
<zone><short>foreign</short><source address="192.0.2.0/24"/><port port="4711" protocol="tcp"/></zone>
"""

MAKE = """
set -eu
cat >/etc/firewalld/zones/foreign.xml
systemctl start firewalld libvirtd openvswitch-switch
firewall-cmd --reload

ovs-vsctl --may-exist add-br foreign -- set bridge foreign datapath_type=netdev external_ids:owner=somebody \
    -- --may-exist add-port foreign foreign-port -- set interface foreign-port type=internal
ip address replace 198.18.0.1/24 dev foreign

mkdir -p /run/foreign/bin
cp /bin/busybox /run/foreign/bin/
tar -c -C /run/foreign bin | podman import - localhost/foreign:1
podman network create --interface-name foreign-podman --subnet 198.18.1.0/24 foreign
podman run --detach --name foreign --network foreign --ip 198.18.1.5 localhost/foreign:1 \
    /bin/busybox httpd -f -p 8080 -h /
"""

GO_ON = """
set -eu
ip address replace 198.18.0.1/24 dev foreign
podman start foreign
virsh="virsh --quiet --connect=qemu:///system"
$virsh domstate foreign | grep -q running || $virsh start foreign
"""

# What is called like ours, and is not.
NAMESAKES = """
set -eu
useradd --system --comment Somebody --home-dir /var/lib/hotstack --create-home --shell /usr/sbin/nologin hotstack
mkdir -m 0700 /var/lib/hotstack-os
echo theirs >/var/lib/hotstack-os/theirs
mkdir -p /etc/openstack
printf 'clouds:\\n  theirs:\\n    region_name: Somewhere\\n' >/etc/openstack/clouds.yaml
echo '<zone><short>theirs</short><port port="4712" protocol="tcp"/></zone>' >/etc/firewalld/zones/hotstack-os.xml
firewall-cmd --reload
ovs-vsctl set Open_vSwitch . external_ids:hostname=theirs external_ids:ovn-cms-options=theirs other_config:vlan-limit=1
"""

# A process that has, by chance, the number of our user.
NUMBER = """
podman run --detach --name foreign-number --network none --user "$(id --user hotstack)" localhost/foreign:1 \\
    /bin/busybox sleep 100000
"""

# What lasts, and what runs; a reboot ends what runs, ours or not.
LOOK = """
import json, subprocess, sys

def say(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()

def lines(*command):
    return sorted(say(*command).splitlines())

virsh = ("virsh", "--quiet", "--connect=qemu:///system")
bridge = ("ovs-vsctl", "--format=json", "--columns=_uuid,datapath_type,external_ids,ports,controller,fail_mode")
print(json.dumps({
    "lasts": {
        "domain": say(*virsh, "dumpxml", "--inactive", "foreign"),
        "domains": lines(*virsh, "list", "--all", "--name"),
        "networks of libvirt": lines(*virsh, "net-list", "--all", "--name"),
        "container": say("podman", "inspect", "--format={{.Id}} {{.Image}} {{.Config.Cmd}}", "foreign"),
        "network": say("podman", "network", "inspect", "--format={{.ID}} {{.Subnets}}", "foreign"),
        "bridge": say(*bridge, "list", "Bridge", "foreign"),
        "port": say("ovs-vsctl", "--format=json", "--columns=_uuid,name,type", "list", "Interface", "foreign-port"),
        "zone": open("/etc/firewalld/zones/foreign.xml").read(),
        "ports of the zone": say("firewall-cmd", "--zone=foreign", "--list-all"),
        "default zone": say("firewall-cmd", "--get-default-zone") + say("firewall-cmd", "--list-all"),
    },
    "runs": {
        "domain": say(*virsh, "domstate", "foreign") + say("pgrep", "--full", "guest=foreign"),
        "container": say("podman", "inspect", "--format={{.State.Status}} {{.State.StartedAt}}", "foreign"),
        "answer": say("curl", "-sS", "-m5", "-o/dev/null", "-w%{http_code}", "http://198.18.1.5:8080/bin/busybox"),
        "address": say("ip", "-brief", "address", "show", "dev", "foreign"),
    },
}))
"""


def make(lab: Lab) -> None:
    """Make a domain of the system's libvirt, a container with its network, a bridge with a port, a firewall zone."""
    lab.run("sh", "-c", MAKE, data=ZONE, timeout=300)
    lab.run("virsh", "--connect=qemu:///system", "define", "/dev/stdin", data=DOMAIN)
    lab.run("virsh", "--connect=qemu:///system", "start", "foreign")


def go_on(lab: Lab) -> None:
    """Let all of it run again after a reboot, which ends what runs."""
    lab.shell(GO_ON)


def start_same_number(lab: Lab) -> None:
    """Run a process in a container with the number of our user."""
    lab.shell(NUMBER)


def end_same_number(lab: Lab) -> str:
    """Return the state of that container, and remove it."""
    state = lab.run("podman", "inspect", "--format={{.State.Status}}", "foreign-number").strip()
    lab.run("podman", "rm", "--force", "--time=0", "foreign-number")
    return state


def make_namesakes(lab: Lab) -> None:
    """Make a user, folders, a file, a zone and keys of Open vSwitch that have the names of ours."""
    lab.shell(NAMESAKES)


def look(lab: Lab) -> dict[str, dict[str, str]]:
    """Return all of it as it is."""
    found: dict[str, dict[str, str]] = json.loads(lab.run("/usr/bin/python3", "-", data=LOOK))
    return found
