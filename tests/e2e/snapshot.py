# SPDX-License-Identifier: Apache-2.0
"""Everything that can be seen of a host, and what differs between two looks at it."""

from __future__ import annotations

from lab import Lab

Snapshot = dict[str, list[str]]

LOOK = r"""
import glob, hashlib, json, os, re, stat, subprocess, sys

# What changes without a deployment, or with every command that looks: each with its reason.
EXCEPT = {
    "/dev": "made at boot",
    "/proc": "the kernel's",
    "/sys": "the kernel's",
    "/tmp": "of whoever works at the moment",
    "/var/tmp": "of whoever works at the moment; see traces()",
    "/var/lib/containers": "seen through podman",
    "/run/containers": "seen through podman",
    "/run/crun": "seen through podman",
    "/run/libpod": "seen through podman",
    "/run/netns": "seen through podman",
    "/var/cache": "made again by whoever needs it; see traces()",
    "/var/log": "goes on; see traces()",
    "/var/lib/apt": "the package manager's",
    "/var/lib/dpkg": "the package manager's",
    "/var/lib/systemd/timers": "goes on",
    "/var/lib/systemd/timesync": "goes on",
    "/var/lib/systemd/random-seed": "goes on",
    "/var/lib/logrotate": "goes on",
    "/etc/passwd-": "what a file was before its last change",
    "/etc/shadow-": "what a file was before its last change",
    "/etc/group-": "what a file was before its last change",
    "/etc/gshadow-": "what a file was before its last change",
    "/etc/subuid-": "what a file was before its last change",
    "/etc/subgid-": "what a file was before its last change",
    "/var/lib/lastlog": "goes on",
    "/var/lib/wtmpdb": "goes on",
    "/var/lib/systemd/coredump": "goes on",
    "/srv/hotstack-test-images": "of other tests",
    "/etc/.pwd.lock": "empty, made by whoever asks for a user",
    "/etc/openvswitch/conf.db": "seen through ovs-vsctl",
    "/var/lib/openvswitch/conf.db": "seen through ovs-vsctl",
    "/var/lib/libuuid": "of the host's uuidd, which whoever asks for a UUID starts",
    "/etc/openvswitch/.conf.db.~lock~": "of Open vSwitch's database",
    "/etc/hotstack-lab/machine": "what the machine around tells the lab host",
    "/etc/environment": "what the machine around tells the lab host",
    "/opt/hotstack-os": "the collection itself",
    "/usr/share/ansible": "the collection itself",
    "/root": "of whoever works at the moment; see traces()",
    "/run/systemd": "seen through systemctl",
    "/run/udev": "the kernel's",
    "/run/lock": "empty files",
    "/run/log": "goes on",
    "/run/openvswitch": "seen through ovs-vsctl",
    "/run/utmp": "goes on",
    "/run/foreign": "lost at a reboot",
}


# Units that come and go by themselves; health checks of podman have a number for a name.
PASSING = "[0-9a-f]{64}-|podman|netavark-dhcp|apt-|dpkg-|logrotate|uuidd|systemd-(tmpfiles|hostnamed|timedated)"
# Units that run at the first boot alone.
PASSING += "|ldconfig|systemd-(journal-catalog-update|sysusers|update-done)"
# Interfaces that get another address at each boot, or another name at each start of a container.
OUTER = ("eth0", "veth")
# Processes of such units.
PASSING_PROCESSES = "/usr/lib/podman/netavark dhcp-proxy|/usr/sbin/uuidd "


def say(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def lines(*command):
    return sorted(say(*command).splitlines())


def number(path):
    return open(path).read().strip()


def files():
    found = []
    for folder, folders, names in os.walk("/"):
        folders[:] = [
            name for name in folders if os.path.join(folder, name) not in EXCEPT and name != "__pycache__"
        ]
        for path in (os.path.join(folder, name) for name in [*folders, *names]):
            if path in EXCEPT:
                continue
            try:
                known = os.lstat(path)
                if path.startswith("/var/lib/libvirt/qemu/domain-"):
                    # A running guest's own, by the number of its start.
                    continue
                said = f"{unnumbered(path)} {stat.filemode(known.st_mode)} {known.st_uid}:{known.st_gid}"
                for name in sorted(os.listxattr(path, follow_symlinks=False)):
                    said += f" {name}={os.getxattr(path, name, follow_symlinks=False).hex()}"
                if stat.S_ISLNK(known.st_mode):
                    said += f" -> {os.readlink(path)}"
                elif stat.S_ISREG(known.st_mode) and not path.startswith("/run/"):
                    said += f" {hashlib.sha256(open(path, 'rb').read()).hexdigest()}"
            except FileNotFoundError:
                continue
            found.append(said)
    return found


# What has a name of ours in folders of which nothing else is looked at. Not: what is of these tests or of the lab, the
# collection itself, and archives of `hotstack-os diagnose`, which stay.
TRACE = re.compile("hotstack|openstack|notapet")
NO_TRACE = re.compile(
    "/root/hotstack-test-|/root/[.]ansible$|/var/tmp/hotstack-(test|guest-test|faults)|/var/tmp/hotstack-os-.*[.]tar[.]gz$"
    "|/var/cache/hotstack-os$|/var/log/journal$"
)


def traces():
    found = []
    for top in ("/root", "/var/tmp", "/var/cache", "/var/log"):
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not NO_TRACE.match(f"{folder}/{name}")]
            paths = (f"{folder}/{name}" for name in [*folders, *names])
            found += [path for path in paths if TRACE.search(path) and not NO_TRACE.match(path)]
    return sorted(found)


def unnumbered(text):
    # Names that podman numbers or draws by lot.
    text = re.sub(r"\bveth\d+(@\w+)?\b", "veth", text)
    text = re.sub(r"\bdomain-\d+-", "domain-", text)
    text = re.sub(r"\bfd=\d+", "fd", text)
    text = re.sub(r"\bnet:\[\d+\]", "net", text)
    return re.sub(r"netns-[0-9a-f-]{36}( \(id: \d+\))?", "netns", text)


def interfaces():
    found = []
    for link in json.loads(say("ip", "-json", "-details", "link")):
        name = unnumbered(link["ifname"])
        kind = link.get("linkinfo", {}).get("info_kind", "")
        found.append(f"{name} {kind} mtu {link['mtu']} {link.get('master', '')} {'UP' in link['flags']}")
    return sorted(found)


def addresses():
    found = []
    for link in json.loads(say("ip", "-json", "address")):
        if not link["ifname"].startswith(OUTER):
            found += [f"{link['ifname']} {a['local']}/{a['prefixlen']}" for a in link.get("addr_info", [])]
    return sorted(line for line in found if " fe80:" not in line)


def routes():
    listed = [line for version in ("-4", "-6") for line in lines("ip", version, "route", "show", "table", "all")]
    return [line for line in listed if not re.search(rf" fe80:| dev ({'|'.join(OUTER)})", line)]


def switch():
    found = []
    for table, columns in {
        "Open_vSwitch": "external_ids,other_config,manager_options,ssl",
        "Bridge": "name,datapath_type,external_ids,other_config,fail_mode,controller",
        "Port": "name,external_ids,other_config,tag,qos",
        "Interface": "name,type,options,external_ids,mtu_request",
        "QoS": "type,other_config",
        "Queue": "other_config",
        "Manager": "target",
        "Controller": "target",
        "Mirror": "name",
        "Flow_Sample_Collector_Set": "id",
    }.items():
        rows = json.loads(say("ovs-vsctl", "--format=json", f"--columns={columns}", "list", table) or "{}")
        found += [f"{table} {json.dumps(row)}" for row in rows.get("data", [])]
    return sorted(found)


def firewall():
    ruleset = unnumbered(say("nft", "--stateless", "list", "ruleset"))
    zones = say("firewall-cmd", "--list-all-zones"), say("firewall-cmd", "--permanent", "--list-all-zones")
    policies = say("firewall-cmd", "--list-all-policies"), say("firewall-cmd", "--permanent", "--list-all-policies")
    return sorted("\n".join((ruleset, *zones, *policies)).splitlines())


def units():
    listed = lines("systemctl", "list-unit-files", "--no-legend", "--no-pager")
    found = [" ".join(line.split()) for line in listed if "transient" not in line]
    kinds = "--type=service,socket,target,timer,path,slice,automount,swap"
    for line in say("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", kinds).splitlines():
        name, loaded, active, state = line.split()[:4]
        if loaded != "not-found" and not re.match(PASSING, name):
            found.append(f"{name} {loaded} {active} {state}")
    return found


def podman():
    listed = {
        "container": lines("podman", "ps", "--all", "--external", "--format", "{{.ID}} {{.Names}} {{.Image}}"),
        "image": lines("podman", "images", "--all", "--format", "{{.ID}} {{.Names}}"),
        "network": lines("podman", "network", "ls", "--format", "{{.ID}} {{.Name}}"),
        "volume": lines("podman", "volume", "ls", "--quiet"),
        "secret": lines("podman", "secret", "ls", "--quiet"),
    }
    return [f"{kind} {line}" for kind, found in listed.items() for line in found]


def processes():
    above, pid = set(), os.getpid()
    while pid > 0:
        above.add(pid)
        pid = int(re.search(r"^PPid:\s*(\d+)", number(f"/proc/{pid}/status"), re.M)[1])
    found = []
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            command = open(f"{folder}/cmdline", "rb").read().decode(errors="replace").replace("\0", " ").strip()
            owner = os.stat(folder).st_uid
        except OSError:
            continue
        if command and not re.match(PASSING_PROCESSES, command) and int(os.path.basename(folder)) not in above:
            found.append(unnumbered(f"{owner} {command}"))
    return sorted(found)


def mounts():
    found = []
    for line in open("/proc/self/mountinfo"):
        left, right = (part.split() for part in line.split(" - "))
        root, path, options = left[3:6]
        shared = "shared" if any(word.startswith("shared") for word in left[6:]) else "private"
        found.append(unnumbered(f"{path} {root} {options} {shared} {right[0]}"))
    return sorted(found)


def settings():
    paths = glob.glob("/proc/sys/net/ipv[46]/conf/all/*") + glob.glob("/proc/sys/net/ipv[46]/conf/default/*")
    found = []
    for path in sorted([*paths, "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ip_local_port_range"]):
        try:
            found.append(f"{path} {number(path)}")
        except OSError:
            continue
    return found


print(json.dumps({
    "podman": podman(),
    "files": files(),
    "traces": traces(),
    "users": lines("getent", "passwd"),
    "groups": lines("getent", "group"),
    "interfaces": interfaces(),
    "addresses": addresses(),
    "routes": routes(),
    "rules": lines("ip", "rule") + lines("ip", "-6", "rule"),
    "namespaces": [unnumbered(line) for line in lines("ip", "netns")],
    "sockets": sorted({unnumbered(re.sub(r" +", " ", line)) for line in lines("ss", "-Hlntu")}),
    "Open vSwitch": switch(),
    "firewall": firewall(),
    "units": units(),
    "processes": processes(),
    "mounts": mounts(),
    "kernel settings": settings(),
    "domains of libvirt": lines("virsh", "--quiet", "--connect=qemu:///system", "list", "--all"),
}))
"""


def take(lab: Lab) -> Snapshot:
    """Look at everything."""
    found: Snapshot = lab.python(LOOK)
    return found


def differences(before: Snapshot, after: Snapshot) -> dict[str, list[str]]:
    """Return what is gone (-) and what came (+), by kind; kinds without a difference are left out."""
    found = {}
    for kind, lines in before.items():
        gone, came = set(lines) - set(after[kind]), set(after[kind]) - set(lines)
        if gone or came:
            found[kind] = [*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(came))]
    return found
