# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_plan, removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_plan import plan
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import (
    Account,
    Bridge,
    Host,
    Subject,
    Switch,
    Unit,
)

DATA = "/var/lib/hotstack-os"
ALL = Subject(
    everything=True,
    addresses=("172.31.0.129", "172.31.0.10"),
    data_dirs=(DATA, f"{DATA}/nova-instances", "/srv/volumes"),
    build_cache="/var/cache/builds",
    base_image="debian:trixie-slim",
)
OURS = Account(
    uid=990, comment=removal_traces.COMMENT, shell="/usr/sbin/nologin", groups=("kvm",), lingers=True, runs=True
)
THEIRS = Account(uid=990, comment="Somebody", shell="/bin/false", groups=("kvm", "video"), lingers=True)
FORMER = {"comment": "Somebody", "shell": "/bin/false", "groups": ["video"], "lingers": False}
FOLDER = {"mode": "0755", "uid": 0, "gid": 0, "entries": []}
LINK = {"mode": "0777", "uid": 0, "gid": 0, "link": "/opt/theirs"}
FILE = {"mode": "0644", "uid": 0, "gid": 0, "content": "before\n"}


def said(subject: Subject, record: dict[str, Any] | None = None, **host: Any) -> list[str]:
    """Return the lines of a plan."""
    return [str(removal) for removal in plan(subject, Host(**host), record or {}).removals]


def kept(subject: Subject, record: dict[str, Any] | None = None, **host: Any) -> list[str]:
    """Return what a plan keeps."""
    return list(plan(subject, Host(**host), record or {}).kept)


def test_settings_go_just_before_the_data() -> None:
    host: dict[str, Any] = {"paths": ("/etc/hotstack-os", DATA), "images": ("a",)}
    assert said(ALL, {"paths": {DATA: None}}, **host) == ["image a", "file /etc/hotstack-os", f"data in {DATA}"]


@pytest.mark.parametrize("subject", [Subject(), ALL], ids=["uninstall", "clean"])
def test_nothing_is_left_of_nothing(subject: Subject) -> None:
    assert plan(subject, Host(), {}) == removal_plan.Plan()


def test_every_kind_has_a_name() -> None:
    assert all(removal_plan.KINDS.values())


WHOLE: dict[str, Any] = {
    "units": {
        "hotstack-os-keystone.service": Unit(active=True),
        "hotstack-os.target": Unit(active=True, enabled=True),
        "hotstack-os-keystone-bootstrap.service": Unit(),
    },
    "containers": ("hotstack-os-keystone",),
    "networks": ("hotstack-os", "podman"),
    "images": ("localhost/hotstack-os-nova:1",),
    "paths": (
        "/etc/containers/systemd/hotstack-os-keystone.container",
        "/etc/systemd/system/hotstack-os.target",
        "/usr/local/libexec/hotstack-os",
        "/usr/local/libexec/hotstack-os/lib",
        "/var/lib/hotstack",
        "/var/lib/hotstack/.config/libvirt/qemu.conf",
        DATA,
    ),
    "entries": {DATA: ("mysql", "runtime"), "/etc/containers/systemd": ("hotstack-os-keystone.container", "users")},
    "texts": {"/etc/hosts": "1 a\n# BEGIN hotstack.os\n2 b\n# END hotstack.os\n"},
    "session": {7: "", 8: "notapet-1", 9: "by-hand"},
    "account": OURS,
    "session_enabled": True,
    "switch": Switch({"hot-int": Bridge(marked=True), "hot-ex": Bridge(marked=True), "br-int": Bridge()}),
    "tables": ("inet hotstack_os", "inet firewalld"),
    "firewall": True,
    "zones": ("hotstack-os",),
    "mounts": {f"{DATA}/nova-mnt/1": "/x", f"{DATA}/nova-mnt": "/lib/hotstack-os/nova-mnt"},
}
FIRST = [
    "unit hotstack-os.target: running and enabled",
    "unit hotstack-os-keystone.service: running",
    "container hotstack-os-keystone",
    "our lines in /etc/hosts",
]


def test_services_go_and_guests_stay() -> None:
    assert said(Subject(), **WHOLE) == [
        *FIRST,
        "podman network hotstack-os",
        "file /etc/containers/systemd/hotstack-os-keystone.container",
        "file /etc/systemd/system/hotstack-os.target",
        "file /usr/local/libexec/hotstack-os/lib",
        "reload systemd",
    ]


def test_everything_goes_and_the_data_is_last() -> None:
    assert said(ALL, {"paths": {DATA: None}}, **WHOLE) == [
        *FIRST,
        "session hotstack-os-libvirtd-session.service",
        "guest by-hand",
        "guest notapet-1",
        "bridge hot-int",
        "bridge hot-ex",
        "podman network hotstack-os",
        "file /etc/containers/systemd/hotstack-os-keystone.container",
        "file /etc/systemd/system/hotstack-os.target",
        "file /usr/local/libexec/hotstack-os",
        "nftables table inet hotstack_os",
        "firewalld's zones hotstack-os",
        "lingering of hotstack",
        "service manager of hotstack",
        "user hotstack",
        "folder /var/lib/hotstack",
        "image localhost/hotstack-os-nova:1",
        f"mount {DATA}/nova-mnt/1",
        f"mount {DATA}/nova-mnt",
        "reload systemd",
        f"data in {DATA}",
    ]


@pytest.mark.parametrize(
    ("names", "folder"),
    [(("hotstack-os.conf",), True), (("hotstack-os.conf", "theirs.conf"), False)],
    ids=["ours", "theirs"],
)
def test_the_drop_in_of_the_service_manager_goes_with_the_guests(names: tuple[str, ...], folder: bool) -> None:
    path = "/etc/systemd/system/user@990.service.d"
    host: dict[str, Any] = {"paths": (f"{path}/hotstack-os.conf",), "entries": {path: names}}
    assert said(Subject(), **host) == []
    gone = [f"file {path}/hotstack-os.conf", *([f"empty folder {path}"] if folder else []), "reload systemd"]
    assert said(ALL, **host) == gone
    assert said(ALL, {"paths": {path: FOLDER}}, **host) == [line for line in gone if not line.startswith("empty")]


def test_who_manages_links_forgets_ours() -> None:
    files = ("/etc/NetworkManager/conf.d/zz-hotstack-os.conf", "/etc/systemd/network/00-hotstack-os.network")
    lines = said(Subject(), paths=files)
    assert lines == [*(f"file {path}" for path in files), "reload NetworkManager", "reload systemd-networkd"]


@pytest.mark.parametrize("subject", [Subject(), ALL], ids=["uninstall", "clean"])
def test_profile_is_unloaded_after_its_containers_and_before_its_files(subject: Subject) -> None:
    paths = (
        "/etc/apparmor.d/disable/hotstack-os",
        "/etc/apparmor.d/hotstack-os",
        "/var/cache/apparmor/a.0/hotstack-os",
    )
    assert said(subject, containers=("hotstack-os-keystone",), profile=True, paths=paths) == [
        "container hotstack-os-keystone",
        "AppArmor profile hotstack-os",
        *(f"file {path}" for path in paths),
    ]


def test_images_stay_if_they_are_to() -> None:
    assert said(Subject(everything=True, images=False), images=("localhost/hotstack-os-nova:1",)) == []


# --- files


@pytest.mark.parametrize(
    ("record", "now", "line"),
    [
        ({}, FILE, ["file /etc/hotstack-os"]),
        ({"paths": {"/etc/hotstack-os": None}}, FILE, ["file /etc/hotstack-os"]),
        ({"paths": {"/etc/hotstack-os": FILE}}, {**FILE, "content": "ours\n"}, ["file /etc/hotstack-os: as it was"]),
        ({"paths": {"/etc/hotstack-os": FILE}}, {**FILE, "mode": "0600"}, ["file /etc/hotstack-os: as it was"]),
        ({"paths": {"/etc/hotstack-os": FILE}}, FILE, []),
        ({"paths": {"/etc/hotstack-os": LINK}}, FILE, ["file /etc/hotstack-os: as it was"]),
        ({"paths": {"/etc/hotstack-os": LINK}}, LINK, []),
        ({"paths": {"/etc/hotstack-os": FOLDER}}, {**FOLDER, "entries": ["a"]}, ["file /etc/hotstack-os/a"]),
    ],
    ids=["unrecorded", "new", "changed", "another mode", "as before", "a link", "link as before", "a folder"],
)
@pytest.mark.parametrize("subject", [Subject(), ALL], ids=["uninstall", "clean"])
def test_file_that_was_there_comes_back(subject: Subject, record: Any, now: Any, line: list[str]) -> None:
    assert said(subject, record, paths=("/etc/hotstack-os",), files={"/etc/hotstack-os": now}) == line


def test_file_too_large_for_the_record_is_named() -> None:
    large = {"mode": "0644", "uid": 0, "gid": 0}
    record = {"paths": {"/etc/hotstack-os": large}}
    host: dict[str, Any] = {"paths": ("/etc/hotstack-os",), "files": {"/etc/hotstack-os": FILE}}
    assert said(ALL, record, **host) == []
    assert kept(ALL, record, **host) == ["/etc/hotstack-os as it is now, as it was too large to be recorded"]
    assert kept(ALL, record, files={"/etc/hotstack-os": large}) == []


def test_shared_files_with_nothing_else_go() -> None:
    text = "---\nclouds:\n  # BEGIN hotstack.os\n  a:\n  # END hotstack.os\n"
    host: dict[str, Any] = {"texts": {removal_traces.CLOUDS: text}, "entries": {"/etc/openstack": ("clouds.yaml",)}}
    assert said(Subject(), **host) == [f"file {removal_traces.CLOUDS}", "empty folder /etc/openstack"]


@pytest.mark.parametrize(
    ("record", "inside", "goes"),
    [
        ({"paths": {"/etc/openstack": None}}, ("cloud-secret.yaml",), True),
        ({"paths": {"/etc/openstack": None}}, ("cloud-secret.yaml", "theirs"), False),
        ({"paths": {"/etc/openstack": FOLDER}}, ("cloud-secret.yaml",), False),
        ({}, ("cloud-secret.yaml",), True),
    ],
    ids=["made", "used by others", "there before", "unrecorded"],
)
def test_folder_goes_when_it_is_empty_and_was_made(record: Any, inside: tuple[str, ...], goes: bool) -> None:
    lines = said(ALL, record, paths=("/etc/openstack/cloud-secret.yaml",), entries={"/etc/openstack": inside})
    assert ("empty folder /etc/openstack" in lines) is goes


@pytest.mark.parametrize(
    ("known", "folders"),
    [
        ({"/home/a/.config": None, "/home/a/.config/openstack": None}, [".config/openstack", ".config"]),
        ({"/home/a/.config": FOLDER, "/home/a/.config/openstack": None}, [".config/openstack"]),
        ({"/home/a/.config": FOLDER, "/home/a/.config/openstack": FOLDER}, []),
        ({}, [".config/openstack"]),
    ],
    ids=["made", "one made", "there before", "unrecorded"],
)
def test_folders_of_secrets_go_that_were_made_for_them(known: dict[str, Any], folders: list[str]) -> None:
    secret = "/home/a/.config/openstack/cloud-secret.yaml"
    entries = {"/home/a/.config": ("openstack",), "/home/a/.config/openstack": ("cloud-secret.yaml",)}
    assert said(ALL, {"paths": known}, secrets=(secret,), entries=entries) == [
        f"file {secret}",
        *(f"empty folder /home/a/{folder}" for folder in folders),
    ]


def test_folder_of_the_network_and_of_lingering_go_too() -> None:
    folders = {"/etc/containers/networks": ("hotstack-os.json",), removal_traces.LINGER_FOLDER: ("hotstack",)}
    record = {"paths": dict.fromkeys(folders)}
    lines = said(ALL, record, entries=folders, networks=("hotstack-os",), account=OURS)
    assert [line for line in lines if line.startswith("empty")] == [f"empty folder {name}" for name in folders]


# --- the user and the session


def test_guests_of_a_user_of_others_stay() -> None:
    record: dict[str, Any] = {"users": {"hotstack": FORMER}}
    home = ("/var/lib/hotstack", "/var/lib/hotstack/.config/libvirt/qemu/notapet-1.xml")
    lines = said(ALL, record, account=THEIRS, session=WHOLE["session"], session_enabled=True, paths=home)
    assert lines == [
        "session hotstack-os-libvirtd-session.service",
        "guest notapet-1",
        "file /var/lib/hotstack/.config/libvirt/qemu/notapet-1.xml",
        "lingering of hotstack",
        "user hotstack: comment, shell and groups as they were",
    ]
    former = Account(uid=990, comment="Somebody", shell="/bin/false", groups=("video",))
    assert said(ALL, record, account=former) == []


HOME = "/var/lib/hotstack"


@pytest.mark.parametrize(
    ("config", "host", "lines", "stays"),
    [
        (None, {}, [f"file {HOME}/.config/libvirt", f"empty folder {HOME}/.config"], []),
        (
            None,
            {"definitions": (f"{HOME}/.config/libvirt/qemu/theirs.xml",)},
            [f"file {HOME}/.config/libvirt/qemu.conf"],
            [".config"],
        ),
        (None, {"session": {9: "by-hand"}}, [f"file {HOME}/.config/libvirt/qemu.conf"], [".config"]),
        (FOLDER, {}, [f"file {HOME}/.config/libvirt/qemu.conf"], [".config"]),
    ],
    ids=["made", "with definitions of others", "with guests of others", "there before"],
)
def test_of_a_home_of_others_only_ours_goes(
    config: Any, host: dict[str, Any], lines: list[str], stays: list[str]
) -> None:
    made = {f"{HOME}/.config": None, f"{HOME}/.config/libvirt": config}
    paths = {HOME: {**FOLDER, "entries": [".bashrc"]}, **made}
    found: dict[str, Any] = {
        "account": Account(uid=990, comment="Somebody", shell="/bin/false", groups=("video",)),
        "paths": (HOME, f"{HOME}/.config/libvirt", f"{HOME}/.config/libvirt/qemu.conf"),
        "entries": {HOME: (".bashrc", ".config", "letters"), f"{HOME}/.config": ("libvirt",)},
        "files": {HOME: FOLDER},
    }
    record: dict[str, Any] = {"users": {"hotstack": FORMER}, "paths": paths}
    done = said(ALL, record, **{**found, **host})
    assert [line for line in done if not line.startswith("session")] == lines
    assert kept(ALL, record, **{**found, **host}) == [
        f"{HOME}/{name}, which a deployment did not make" for name in (*stays, "letters")
    ]
    mode = {"files": {HOME: {**FOLDER, "mode": "0700"}}}
    assert f"data in {HOME}: as it was" in said(ALL, record, **{**found, **mode})


def test_of_a_home_that_was_there_before_its_user_only_ours_goes() -> None:
    paths = {HOME: FOLDER, f"{HOME}/.config": None, f"{HOME}/.config/libvirt": None}
    lines = said(
        ALL,
        {"users": {"hotstack": None}, "paths": paths},
        account=Account(comment=removal_traces.COMMENT),
        paths=(HOME, f"{HOME}/.config/libvirt"),
        entries={HOME: (".config",), f"{HOME}/.config": ("libvirt",)},
    )
    assert lines == [f"file {HOME}/.config/libvirt", "user hotstack", f"empty folder {HOME}/.config"]


def test_user_of_nobody_known_stays() -> None:
    assert said(ALL, account=THEIRS, paths=("/var/lib/hotstack",)) == []
    assert kept(ALL, account=THEIRS) == [
        "user hotstack, who is not as a deployment makes it, as there is no record of who made it"
    ]


@pytest.mark.parametrize(
    ("record", "paths", "goes"),
    [
        ({}, ("/var/lib/hotstack",), False),
        ({"users": {"hotstack": None}}, ("/var/lib/hotstack",), True),
        ({}, ("/var/lib/hotstack", f"/var/lib/hotstack/.config/systemd/user/{removal_traces.SESSION_UNIT}"), True),
        ({"users": {"hotstack": None}, "paths": {"/var/lib/hotstack": FOLDER}}, ("/var/lib/hotstack",), False),
    ],
    ids=["unknown", "recorded", "ours by its unit", "there before"],
)
def test_home_without_its_user(record: Any, paths: tuple[str, ...], goes: bool) -> None:
    assert ("folder /var/lib/hotstack" in said(ALL, record, paths=paths)) is goes


def test_manager_without_its_user_ends() -> None:
    assert said(ALL, session={7: ""}, orphans=(990,)) == [
        f"session {removal_traces.SESSION_UNIT}",
        "service manager of hotstack: number 990",
    ]


def test_mark_of_lingering_without_its_user_goes() -> None:
    assert said(ALL, paths=(f"{removal_traces.LINGER_FOLDER}/hotstack",)) == [
        f"file {removal_traces.LINGER_FOLDER}/hotstack"
    ]


# --- Open vSwitch


def test_keys_become_what_they_were() -> None:
    record = {
        "ovs_external_ids": {"ovn-remote": None, "hostname": "former"},
        "ovs_other_config": {"userspace-tso-enable": None, "vlan-limit": "1"},
    }
    switch = Switch(
        external_ids={"ovn-remote": "tcp:1", "hostname": "lab", "system-id": "8", "ovn-bridge-datapath-type": "netdev"},
        other_config={"vlan-limit": "0", "userspace-tso-enable": "true", "ovn-chassis-idx-8": "", "theirs": "1"},
    )
    assert said(ALL, record, switch=switch) == [
        "Open vSwitch's external_ids:hostname: former again",
        "Open vSwitch's external_ids:ovn-bridge-datapath-type: removed",
        "Open vSwitch's external_ids:ovn-remote: removed",
        "Open vSwitch's other_config:ovn-chassis-idx-8: removed",
        "Open vSwitch's other_config:userspace-tso-enable: removed",
        "Open vSwitch's other_config:vlan-limit: 1 again",
    ]


@pytest.mark.parametrize(
    ("bridge", "lines"),
    [
        ("hot-int", ["external_ids:ovn-bridge: removed", "external_ids:ovn-remote: removed"]),
        ("br-int", []),
    ],
    ids=["our OVN", "another OVN"],
)
def test_keys_without_a_record(bridge: str, lines: list[str]) -> None:
    switch = Switch(
        external_ids={"ovn-bridge": bridge, "ovn-remote": "tcp:1", "hostname": "lab"}, other_config={"vlan-limit": "0"}
    )
    assert said(ALL, switch=switch) == [f"Open vSwitch's {line}" for line in lines]


def test_bridge_of_others_loses_what_ovn_gave_it() -> None:
    record = {"ovs_bridges": {"hot-ex": {"datapath": "system", "mtu": 1500}}, "ovs_other_config": {}}
    switch = Switch({"hot-ex": Bridge(datapath="netdev", mtu=9216, ports=("patch-1",)), "foreign": Bridge()})
    assert said(ALL, record, switch=switch, addresses=("172.31.0.129/25",)) == [
        "port patch-1: of bridge hot-ex",
        "address 172.31.0.129/25: of bridge hot-ex",
        "bridge hot-ex: datapath and MTU as they were",
    ]
    assert said(ALL, record, switch=Switch({"hot-ex": Bridge(mtu=1500)})) == []


@pytest.mark.parametrize(
    ("bridge", "record", "goes"),
    [
        (Bridge(marked=True), {}, True),
        (Bridge(), {}, False),
        (Bridge(), {"ovs_bridges": {"hot-int": None}, "ovs_other_config": {"vlan-limit": None}}, True),
    ],
    ids=["marked", "unmarked", "made again by OVN"],
)
def test_bridge_goes_with_the_keys_of_its_ovn(bridge: Bridge, record: Any, goes: bool) -> None:
    lines = ["bridge hot-int", "Open vSwitch's other_config:vlan-limit: removed"] if goes else []
    assert said(ALL, record, switch=Switch({"hot-int": bridge}, other_config={"vlan-limit": "0"})) == lines


# --- firewall and kernel


@pytest.mark.parametrize(
    ("record", "host", "lines"),
    [
        ({}, {"forwarding": True}, []),
        ({"kernel_settings": {"net.ipv4.ip_forward": "1"}}, {"forwarding": True}, []),
        (
            {"kernel_settings": {"net.ipv4.ip_forward": "0"}},
            {"forwarding": True},
            ["kernel setting net.ipv4.ip_forward: 0 again"],
        ),
        ({"kernel_settings": {"net.ipv4.ip_forward": "0"}}, {"forwarding": True, "running": ("container x",)}, []),
        ({}, {"trusted": ("172.31.0.0/25", "198.18.1.0/24")}, ["firewalld's trusted source 172.31.0.0/25"]),
        ({}, {"tables": ("inet netavark",)}, []),
        ({"nft_tables": {"inet netavark": None}}, {"tables": ("inet netavark",)}, ["nftables table inet netavark"]),
        ({"nft_tables": {"inet netavark": None}}, {"tables": ("inet netavark",), "running": ("container x",)}, []),
        (
            {},
            {"firewall": True, "paths": ("/etc/firewalld/zones/hotstack-os.xml",), "trusted": ("172.31.0.0/25",)},
            ["file /etc/firewalld/zones/hotstack-os.xml", "firewalld's zones on disk"],
        ),
        ({}, {"paths": ("/etc/firewalld/zones/hotstack-os.xml",)}, ["file /etc/firewalld/zones/hotstack-os.xml"]),
    ],
)
def test_what_others_may_need_stays(record: Any, host: Any, lines: list[str]) -> None:
    assert said(ALL, record, **host) == lines


@pytest.mark.parametrize(
    ("former", "now", "bridges", "lines"),
    [
        (
            {"active": False, "enabled": False},
            Unit(active=True, enabled=True),
            {},
            ["unit openvswitch.service: as it was"],
        ),
        ({"active": True, "enabled": False}, Unit(active=True), {}, []),
        ({"active": False, "enabled": False}, Unit(active=True), {"foreign": Bridge()}, []),
        ({"active": False, "enabled": False}, Unit(), {}, []),
    ],
    ids=["started by us", "ran", "needed by others", "stopped already"],
)
def test_switch_stops_if_it_did_not_run(former: Any, now: Unit, bridges: Any, lines: list[str]) -> None:
    record = {"units": {"openvswitch.service": former}}
    assert said(ALL, record, states={"openvswitch.service": now}, switch=Switch(bridges)) == lines


@pytest.mark.parametrize(
    ("record", "text", "lines", "stays"),
    [
        (
            {"capabilities": {"/usr/sbin/libvirtd": ""}},
            "cap_net_admin=ep",
            ["capability of /usr/sbin/libvirtd: cap_net_admin"],
            [],
        ),
        ({"capabilities": {"/usr/sbin/libvirtd": "cap_net_admin=ep"}}, "cap_net_admin=ep", [], []),
        ({"capabilities": {"/usr/sbin/libvirtd": ""}}, "", [], []),
        (
            {},
            "cap_net_admin=ep",
            [],
            ["cap_net_admin=ep of /usr/sbin/libvirtd, as there is no record of who gave it that"],
        ),
    ],
    ids=["given by us", "had it", "lost it", "unrecorded"],
)
def test_capability_goes_if_it_was_given(record: Any, text: str, lines: list[str], stays: list[str]) -> None:
    assert said(ALL, record, capabilities={"/usr/sbin/libvirtd": text}) == lines
    assert kept(ALL, record, capabilities={"/usr/sbin/libvirtd": text}) == stays


# --- data


@pytest.mark.parametrize(
    ("former", "inside", "mounts", "line"),
    [
        (None, ("runtime",), {}, f"data in {DATA}"),
        (None, (), {}, f"data in {DATA}"),
        ("unrecorded", ("runtime",), {}, f"data in {DATA}"),
        ("unrecorded", (), {}, ""),
        ("unrecorded", ("theirs",), {}, ""),
        (FOLDER, ("runtime",), {}, f"data in {DATA}: as it was"),
        (FOLDER, (), {}, ""),
        ({**FOLDER, "entries": ["disk"]}, ("disk",), {f"{DATA}/disk": "/"}, ""),
        (None, ("disk", "runtime"), {f"{DATA}/disk": "/"}, f"data in {DATA}"),
        (None, ("disk",), {f"{DATA}/disk": "/"}, ""),
        ({**FOLDER, "mode": "0700"}, (), {}, f"data in {DATA}: as it was"),
    ],
    ids=[
        "made",
        "made and empty",
        "ours by what is in it",
        "unknown and empty",
        "unknown",
        "there before",
        "as before",
        "as before with a mount",
        "a mount since",
        "nothing but a mount",
        "another mode",
    ],
)
def test_data(former: Any, inside: tuple[str, ...], mounts: dict[str, str], line: str) -> None:
    record = {} if former == "unrecorded" else {"paths": {DATA: former}}
    host = {"paths": (DATA,), "entries": {DATA: inside}, "mounts": mounts, "files": {DATA: FOLDER}}
    assert said(ALL, record, **host) == ([line] if line else [])
    assert kept(ALL, record, **host) == [
        f"{path}, a mount that somebody else made, with what is in it" for path in mounts
    ]


@pytest.mark.parametrize(
    ("former", "line", "stays"),
    [
        (None, ["data in /srv/volumes"], []),
        ("unrecorded", [], ["/srv/volumes, as there is no record of what was in it before"]),
    ],
)
def test_data_elsewhere(former: Any, line: list[str], stays: list[str]) -> None:
    record = {} if former == "unrecorded" else {"paths": {"/srv/volumes": former}}
    host = {"paths": ("/srv/volumes",), "entries": {"/srv/volumes": ("volume-1",)}}
    assert (said(ALL, record, **host), kept(ALL, record, **host)) == (line, stays)


VOLUME = "volume-12345678-1234-1234-1234-123456789abc"


def test_of_a_folder_of_others_only_ours_goes() -> None:
    subject = Subject(everything=True, data_dirs=("/srv", f"{DATA}/nova-instances", "/srv/guests", "/mnt"))
    record = {"paths": {"/srv": {**FOLDER, "entries": ["mysql", "www"]}, "/srv/guests": None, "/mnt": FOLDER}}
    host: dict[str, Any] = {
        "paths": ("/srv", "/srv/guests", "/mnt"),
        "entries": {"/srv": ("glance", "guests", "mysql", "runtime", "theirs", "www"), "/mnt": ("glance", VOLUME)},
        "files": {"/srv": FOLDER, "/mnt": FOLDER},
    }
    done = plan(subject, Host(**host), record).removals
    assert {removal.name: removal.data["names"] for removal in done} == {
        "/mnt": [VOLUME],
        "/srv": ["glance", "guests", "runtime"],
    }
    assert kept(subject, record, **host) == [
        f"{path}, which a deployment did not make" for path in ("/mnt/glance", "/srv/theirs")
    ]
    host["entries"] = {"/srv": ("mysql", "theirs", "www"), "/mnt": ("glance",)}
    assert said(subject, record, **host) == []


def test_of_a_folder_without_a_record_only_ours_goes() -> None:
    host: dict[str, Any] = {"paths": (DATA,), "entries": {DATA: ("mysql", "theirs")}}
    (removal,) = plan(ALL, Host(**host), {}).removals
    assert removal.data["names"] == ["mysql"]
    assert kept(ALL, **host) == [f"{DATA}/theirs, which a deployment did not make"]


def test_folder_that_was_made_in_one_that_was_there() -> None:
    subject = Subject(everything=True, data_dirs=(DATA, f"{DATA}/disk/guests"))
    record = {"paths": {DATA: {**FOLDER, "entries": ["disk"]}, f"{DATA}/disk/guests": None}}
    host: dict[str, Any] = {
        "paths": (DATA, f"{DATA}/disk/guests"),
        "files": {DATA: FOLDER},
        "entries": {DATA: ("disk",)},
    }
    assert said(subject, record, **host) == [f"data in {DATA}/disk/guests"]


def test_what_stays_of_services_that_go_is_said_with_the_command() -> None:
    subject = Subject(data_dirs=("/srv/a", "/srv/a/nova-instances", "/srv/a/nova-mnt", "/volumes"))
    command = "ansible-playbook hotstack.os.clean -e hotstack_os_data_dir=/srv/a -e hotstack_os_volumes_dir=/volumes"
    last = f"it goes with `{command} -e clean_host=cloud1`"
    paths = ("/srv/a", "/srv/a/nova-instances", "/volumes")
    assert kept(subject, node="cloud1", paths=paths) == ["data in /srv/a", "data in /volumes", last]
    assert kept(subject, node="cloud1", paths=("/srv/a/nova-instances",)) == ["data in /srv/a/nova-instances", last]


@pytest.mark.parametrize(
    ("record", "user", "inside", "is_said"),
    [
        ({}, OURS, (), True),
        ({}, OURS, ("mysql",), False),
        ({}, None, (), False),
        ({"paths": {}}, OURS, (), False),
    ],
)
def test_data_that_may_be_elsewhere(record: Any, user: Account | None, inside: tuple[str, ...], is_said: bool) -> None:
    said = kept(ALL, record, account=user, entries={DATA: inside})
    assert said == ([f"data of the deployment that made the user hotstack, if it is not in {DATA}"] if is_said else [])


def test_downloads_elsewhere_stay() -> None:
    assert kept(ALL, paths=("/var/cache/builds",)) == [
        "/var/cache/builds, which was put where downloads of builds outlive a deployment"
    ]


# --- images and packages


@pytest.mark.parametrize(("record", "goes"), [({}, False), ({"images": {"debian:trixie-slim": None}}, True)])
def test_base_image_goes_if_it_was_not_there(record: Any, goes: bool) -> None:
    assert ("image debian:trixie-slim" in said(ALL, record, base_image=True)) is goes


def test_base_image_that_others_use_stays() -> None:
    record: dict[str, Any] = {"paths": {}, "images": {"debian:trixie-slim": None}}
    host: dict[str, Any] = {"base_image": True, "base_user": "theirs"}
    assert said(ALL, record, **host) == []
    assert kept(ALL, record, **host) == ["image debian:trixie-slim, which container theirs uses"]


def test_archives_stay() -> None:
    path = "/var/tmp/hotstack-os-a-1.tar.gz"
    assert kept(ALL, archives=(path,)) == [f"{path}, which `hotstack-os diagnose` collected"]


def test_what_a_smoke_test_left_goes() -> None:
    path = "/root/.cache/hotstack-os/smoke-test"
    entries = {"/root/.cache/hotstack-os": ("smoke-test",), "/root/.cache": ("hotstack-os", "theirs")}
    assert said(ALL, paths=(path,), entries=entries) == [f"file {path}", "empty folder /root/.cache/hotstack-os"]


def test_group_that_was_there_stays() -> None:
    record: dict[str, Any] = {"users": {"hotstack": None}, "groups": {"hotstack": 1001}}
    assert said(ALL, record, account=Account(comment=removal_traces.COMMENT)) == [
        "user hotstack: but not the group, which was there before"
    ]
    (goes,) = plan(ALL, Host(account=Account(comment=removal_traces.COMMENT)), {**record, "groups": {}}).removals
    assert not goes.data


def test_containers_of_others_keep_what_they_use() -> None:
    host: dict[str, Any] = {"others": ("theirs",), "networks": ("hotstack-os",)}
    assert kept(ALL, **host) == ["container theirs, which is not ours, with what it uses of ours"]
    assert said(ALL, **host) == []


def test_packages_go_that_were_installed() -> None:
    subject = Subject(everything=True, packages=True)
    record = {"paths": {}, "packages": {"podman": None, "gone": None}}
    assert said(subject, record, packages=("podman", "vim")) == ["package podman"]
    assert said(Subject(everything=True), record, packages=("podman",)) == []
    assert kept(subject, packages=("podman",)) == [
        "packages, as there is no record of those that a deployment installed"
    ]


@pytest.mark.parametrize(
    ("host", "goes", "stays"),
    [
        ({}, ["libvirt-daemon", "openvswitch-switch", "podman"], []),
        (
            {"foreign": {"domain": ("x",)}},
            ["openvswitch-switch", "podman"],
            ["libvirt-daemon, as domain x"],
        ),
        ({"foreign": {"container": ("a", "b")}}, ["libvirt-daemon", "openvswitch-switch"], ["podman, as container a"]),
        (
            {"switch": Switch({"br-int": Bridge()})},
            ["libvirt-daemon", "podman"],
            ["openvswitch-switch, as bridge br-int"],
        ),
        (
            {"switch": Switch({"hot-ex": Bridge()})},
            ["libvirt-daemon", "podman"],
            ["openvswitch-switch, as bridge hot-ex"],
        ),
    ],
    ids=["nobody", "a domain", "containers", "a bridge", "a bridge of our name"],
)
def test_packages_that_others_need_stay(host: dict[str, Any], goes: list[str], stays: list[str]) -> None:
    subject = Subject(everything=True, packages=True)
    names = ("libvirt-daemon", "openvswitch-switch", "podman")
    record = {"paths": {}, "packages": dict.fromkeys(names), "ovs_bridges": {"hot-int": None}}
    found = {"packages": (*names, "vim"), **host}
    removals = plan(subject, Host(**found), record).removals
    assert [removal.name for removal in removals if removal.kind == "package"] == goes
    assert kept(subject, record, **found) == [f"packages {text} of somebody else needs them" for text in stays]
