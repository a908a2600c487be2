# SPDX-License-Identifier: Apache-2.0
"""Each option that confines a container acts, on a machine with a kernel and an AppArmor of its own.

`machine` runs commands as root on a machine with a deployment, or a part of it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any, Protocol

import pytest


class Done(Protocol):
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


class Machine(Protocol):
    """Where commands run."""

    def run(self, command: str) -> Done: ...


# Numbers of the kernel for what the units add.
CAPABILITIES = {"DAC_OVERRIDE": 1, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12}
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
# Runs on the machine, and prints what it knows of each running container of ours.
GATHER = r"""
import glob, json, subprocess

def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""

found = {}
command = ["podman", "ps", "--format", "json", "--filter", "name=^hotstack-os-", "--filter", "status=running"]
for container in json.loads(subprocess.check_output(command)):
    name, pid = container["Names"][0], container["Pid"]
    cgroup = "/sys/fs/cgroup" + read(f"/proc/{pid}/cgroup").strip().partition("::")[2]
    unit = f"/sys/fs/cgroup/system.slice/{name}.service"
    processes = []
    for path in glob.glob(f"{cgroup}/**/cgroup.procs", recursive=True):
        for each in read(path).split():
            status = dict(line.split(":\t", 1) for line in read(f"/proc/{each}/status").splitlines() if ":\t" in line)
            if status.get("State", "Z")[0] not in "ZX":
                status["label"] = read(f"/proc/{each}/attr/current").strip("\0\n")
                status["nofile"] = [line.split()[3:5] for line in read(f"/proc/{each}/limits").splitlines()
                                    if line.startswith("Max open files")]
                processes.append(status)
    source = [line.partition("=")[::2] for line in read(f"/etc/containers/systemd/{name}.container").splitlines()]
    root = [line.split()[5] for line in read(f"/proc/{pid}/mountinfo").splitlines() if line.split()[4] == "/"]
    found[name] = {
        "unit": [pair for pair in source if pair[1]],
        "image": container["Image"],
        "processes": processes,
        "memory": read(f"{unit}/memory.max").strip(),
        "pids": read(f"{cgroup}/pids.max").strip(),
        "score": read(f"/proc/{pid}/oom_score_adj").strip(),
        "whole": read(f"{unit}/memory.oom.group").strip(),
        "root": root,
    }
print(json.dumps(found))
"""


def output(machine: Machine, command: str) -> str:
    """Return what a command prints, which must succeed."""
    done = machine.run(command)
    assert done.rc == 0, f"{command}: {done.stderr or done.stdout}"
    return done.stdout


class Container:
    """A running container: its unit, and what the kernel says of its processes."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.image: str = facts["image"]
        self.processes: list[dict[str, Any]] = facts["processes"]

    def values(self, key: str) -> list[str]:
        """Return the values of a key of the unit."""
        return [value for name, value in self.facts["unit"] if name == key]

    @property
    def privileged(self) -> bool:
        return "--privileged" in self.values("PodmanArgs")

    @property
    def capabilities(self) -> int:
        """Return the capabilities on the unit as the kernel's mask."""
        return sum(1 << CAPABILITIES[name] for name in self.values("AddCapability"))

    def each(self, key: str) -> set[str]:
        """Return what the processes have of a line of /proc/PID/status."""
        return {process[key] for process in self.processes}


@pytest.fixture(scope="module")
def containers(machine: Machine) -> dict[str, Container]:
    """Return the running containers that are not privileged, by name."""
    found = json.loads(output(machine, f"python3 -c {shlex.quote(GATHER)}"))
    confined = {name: container for name, facts in found.items() if not (container := Container(facts)).privileged}
    assert confined, "no container of ours runs"
    return confined


@pytest.fixture(scope="module")
def image(containers: dict[str, Container]) -> str:
    """Return an image with a shell."""
    return next(iter(containers.values())).image


def refusing(machine: Machine, names: Iterable[str], options: str, script: str) -> dict[str, str]:
    """Run a script in each container; return what it said where it failed."""
    inside = f"podman exec {options} $name sh -c {shlex.quote(script)}"
    loop = f'for name in {" ".join(names)}; do said=$({inside} 2>&1) || echo "$name $said" | tr "\\n" " "; echo; done'
    lines = (line.partition(" ") for line in output(machine, loop).splitlines() if line.strip())
    return {name: said for name, _space, said in lines}


# --- AppArmor


def test_the_profile_is_enforced(machine: Machine) -> None:
    assert output(machine, "cat /sys/module/apparmor/parameters/enabled").strip() == "Y"
    profiles = output(machine, "cat /sys/kernel/security/apparmor/profiles").splitlines()
    assert "hotstack-os (enforce)" in profiles


def test_every_process_has_the_profile(containers: dict[str, Container]) -> None:
    labels = {name: container.each("label") for name, container in containers.items()}
    free = {
        name: label
        for name, found in labels.items()
        for label in found
        if "hotstack-os" not in label.partition(" ")[0].split("//&")
    }
    assert free == {}


def test_processes_of_a_container_signal_each_other(machine: Machine, containers: dict[str, Container]) -> None:
    script = "sleep 100 & kill -TERM $! || exit 1; wait $!; test $? -eq 143"
    assert refusing(machine, containers, "", script) == {}


@pytest.mark.full
def test_processes_of_a_container_see_each_other(machine: Machine, containers: dict[str, Container]) -> None:
    assert refusing(machine, containers, "", "sleep 100 & readlink /proc/$!/exe && kill $!") == {}


def denials(machine: Machine) -> list[str]:
    """Return what AppArmor denied containers since the boot, without what these tests provoke."""
    done = machine.run("""journalctl --dmesg --boot --output=cat --no-pager --grep='apparmor="DENIED"'""")
    lines = [line for line in done.stdout.splitlines() if re.search("hotstack-os|containers-default", line)]
    return [line for line in lines if 'comm="trespasser"' not in line]


def test_nothing_was_denied(machine: Machine) -> None:
    assert denials(machine) == []


# What only AppArmor keeps a container from that has all rights otherwise, and a part of what it then says.
TRESPASSES = {
    "mount": "mkdir -p /x && mount -t tmpfs none /x",
    "unmount": "umount /dev/mqueue",
    "write a kernel setting": "echo $(cat /proc/sys/kernel/panic) > /proc/sys/kernel/panic",
    "write to sysfs": "echo $(cat /sys/kernel/mm/ksm/run) > /sys/kernel/mm/ksm/run",
    "read profiles": "cat /sys/kernel/security/apparmor/profiles",
    "read the kernel's memory": "head -c 1 /proc/kcore",
    "signal the host": "cp /bin/sh /trespasser; /trespasser -c 'kill -CONT 1'",
}
# One that a rule denies, and one that lacks a rule; each takes two containers to try.
EVERY_DAY = ("write a kernel setting", "signal the host")


@pytest.mark.parametrize(
    "trespass",
    [
        pytest.param(act, id=name, marks=() if name in EVERY_DAY else pytest.mark.full)
        for name, act in TRESPASSES.items()
    ],
)
def test_the_profile_denies(machine: Machine, image: str, trespass: str) -> None:
    def attempt(profile: str) -> Done:
        options = f"--rm --pull=never --network=none --pid=host --user=0 --privileged --security-opt=apparmor={profile}"
        sysfs = "--volume=/sys/kernel/security:/sys/kernel/security"
        return machine.run(f"podman run {options} {sysfs} {image} sh -c {shlex.quote(trespass)}")

    free, confined = attempt("unconfined"), attempt("hotstack-os")
    assert free.rc == 0, free.stderr
    assert confined.rc != 0
    assert re.search("denied|not permitted|busy", confined.stderr), confined.stderr


# --- rights


def test_no_new_privileges(containers: dict[str, Container]) -> None:
    assert {name: found for name, each in containers.items() if (found := each.each("NoNewPrivs")) != {"1"}} == {}


def test_seccomp_filters(containers: dict[str, Container]) -> None:
    assert {name: found for name, each in containers.items() if (found := each.each("Seccomp")) != {"2"}} == {}


def test_capabilities_are_those_of_the_unit(containers: dict[str, Container]) -> None:
    more = {}
    for name, container in containers.items():
        assert container.values("DropCapability") == ["all"]
        bounds = {int(mask, 16) for mask in container.each("CapBnd")}
        effective = {int(mask, 16) for mask in container.each("CapEff") | container.each("CapPrm")}
        if bounds != {container.capabilities} or any(mask & ~container.capabilities for mask in effective):
            more[name] = (bounds, effective)
    assert more == {}


def test_users_are_those_of_the_unit(containers: dict[str, Container]) -> None:
    others = {}
    for name, container in containers.items():
        wanted = (container.values("User") or ["0"])[0]
        ids = {number for line in container.each("Uid") for number in line.split()}
        if ids != {wanted}:
            others[name] = (wanted, ids)
    assert others == {}


# --- files


def test_images_are_read_only(machine: Machine, containers: dict[str, Container]) -> None:
    writable = {name: each.facts["root"] for name, each in containers.items() if "ro" not in each.facts["root"][-1]}
    assert writable == {}
    # As its owner, so that nothing but the mount is in the way.
    said = refusing(machine, containers, "--user=0", "echo > /trespass")
    assert set(said) == set(containers)
    assert {name: text for name, text in said.items() if "Read-only file system" not in text} == {}


@pytest.mark.full
def test_temporary_files_can_be_written(machine: Machine, containers: dict[str, Container]) -> None:
    assert refusing(machine, containers, "", "echo > /tmp/hardening && rm /tmp/hardening") == {}


# --- limits


def size(text: str) -> int:
    """Return the bytes of a size in a unit."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def test_limits_of_memory(containers: dict[str, Container]) -> None:
    found = {name: each.facts["memory"] for name, each in containers.items() if each.values("MemoryMax")}
    assert found == {name: str(size(containers[name].values("MemoryMax")[0])) for name in found}


def test_limits_of_processes(containers: dict[str, Container]) -> None:
    assert {name: each.facts["pids"] for name, each in containers.items() if not each.facts["pids"].isdigit()} == {}


def test_limits_of_open_files(containers: dict[str, Container]) -> None:
    wrong = {}
    for name, container in containers.items():
        for limit in container.values("Ulimit"):
            wanted = limit.removeprefix("nofile=").split(":")
            others = [process["nofile"] for process in container.processes if process["nofile"] != [wanted]]
            if others:
                wrong[name] = others
    assert wrong == {}


def test_a_container_over_its_memory_is_killed_and_comes_back(
    machine: Machine, containers: dict[str, Container]
) -> None:
    limited = [name for name, each in containers.items() if each.values("MemoryMax")]
    name = min(limited, key=lambda each: size(containers[each].values("MemoryMax")[0]))
    shown = "podman inspect --format '{{.Id}}' " + name
    before = output(machine, shown).strip()
    # It keeps all that has no end of a line. Whichever process the kernel chooses, all of the container goes.
    assert machine.run(f"podman exec {name} tail /dev/zero").rc != 0
    # To start a unit takes until it is healthy.
    again = f'until now=$({shown} 2>&1) && test "$now" != {before}; do systemctl start {name}.service; done'
    output(machine, f"timeout 600 sh -c {shlex.quote(again)}")
    killed = machine.run(f"journalctl --dmesg --boot --no-pager --grep='oom-kill.*{name}[.]service'")
    assert killed.rc == 0, "the kernel killed nothing for want of memory"
    output(machine, f"""journalctl --unit={name}.service --boot --no-pager --grep="result 'oom-kill'" """)


def test_the_kernel_kills_containers_first_and_whole(containers: dict[str, Container]) -> None:
    wanted = {
        name: [value.partition("=")[2] for value in each.values("PodmanArgs") if value.startswith("--oom-score-adj=")]
        for name, each in containers.items()
    }
    assert {name: [each.facts["score"]] for name, each in containers.items()} == wanted
    assert {name: each.facts["whole"] for name, each in containers.items()} == dict.fromkeys(containers, "1")


MANAGER = "user@$(id -u hotstack).service"


def test_the_kernel_spares_what_guests_run_below(machine: Machine, containers: dict[str, Container]) -> None:
    shown = f"cat /proc/$(systemctl show --property=MainPID --value {MANAGER})/oom_score_adj"
    manager = int(output(machine, shown))
    # What it starts, such as the session libvirt and its guests.
    run = "systemd-run --user --machine=hotstack@ --pipe --wait --quiet cat /proc/self/oom_score_adj"
    service = int(output(machine, run))
    assert manager < service
    assert service + 1000 <= min(int(each.facts["score"]) for each in containers.values())


def test_systemd_oomd_spares_what_guests_run_below(machine: Machine) -> None:
    """What Debian's package of systemd-oomd says of all users does not hold for the user of the guests."""
    folder = "/run/systemd/system/user@.service.d"
    theirs = f"mkdir -p {folder} && printf '[Service]\\nManagedOOMMemoryPressure=kill\\n' > {folder}/10-oomd.conf"
    shown = f"systemctl show --property=ManagedOOMMemoryPressure --property=ManagedOOMSwap --value {MANAGER}"
    try:
        output(machine, f"{theirs} && systemctl daemon-reload")
        assert "kill" in output(machine, "systemctl show --property=ManagedOOMMemoryPressure --value user@4711.service")
        assert output(machine, shown).split() == ["auto", "auto"]
    finally:
        output(machine, f"rm -r {folder} && systemctl daemon-reload")
