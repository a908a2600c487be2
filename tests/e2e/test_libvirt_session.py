# SPDX-License-Identifier: Apache-2.0
"""The session libvirt: who reaches it, what a guest in it gets, and what a guest outlives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lab import VIRSH, Lab

UNIT = "hotstack-os-libvirtd-session.service"
PROGRAM = "/usr/sbin/libvirtd"
COPY = "/usr/local/libexec/hotstack-os/libvirtd"
GUEST = "e2e-session"
OTHER = "e2e-system"
TAP = "tap-e2e"
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>{devices}</devices>
</domain>
"""


# Everything at once: each look into the lab host takes its time.
LOOK = f"""
pid=$(systemctl --user --machine=hotstack@ show --property=MainPID --value {UNIT})
guests=$({VIRSH} list --all --name 2>&1) && answers=true || answers=false
cmp --silent {PROGRAM} {COPY} && same=true || same=false
guest=$(pgrep --uid hotstack --full "guest={GUEST}" | tail -n 1)
cat <<END
{{
  "daemon": "$pid", "answers": $answers, "same": $same, "guest": "$guest",
  "names": "$(echo $guests)", "program": "$(readlink /proc/$pid/exe)",
  "tap": "$(ip -brief link show dev {TAP} 2>/dev/null | cut -d ' ' -f 1)",
  "copy": "$(stat --format='%U:%G %a' {COPY}) $(getcap {COPY} | cut -d ' ' -f 2)"
}}
END
"""


@dataclass(frozen=True)
class Look:
    """What there is in the lab host at a moment."""

    daemon: str
    answers: bool
    same: bool
    guest: str
    names: str
    program: str
    tap: str
    copy: str


def look(lab: Lab) -> Look:
    """Look at daemon, guest and copy."""
    return Look(**json.loads(lab.shell(LOOK)))


def virsh(lab: Lab, *words: str, data: str | None = None) -> str:
    """Ask the session libvirt as root."""
    command = f'{VIRSH} "$@"'
    return lab.run("sh", "-c", command, "sh", *words, data=data, timeout=60).strip()


@pytest.fixture(scope="module")
def guest(deployed: Lab) -> Iterator[Lab]:
    """Run a guest with nothing but a network device."""
    interface = f"<interface type='ethernet'><target dev='{TAP}'/></interface>"
    virsh(deployed, "create", "/dev/stdin", data=DOMAIN.format(name=GUEST, devices=interface))
    yield deployed
    virsh(deployed, "destroy", GUEST)


def test_root_reaches_the_session(deployed: Lab) -> None:
    """Ask as the containers do."""
    now = look(deployed)
    assert now.answers, now.names
    assert now.copy == "root:hotstack 750 cap_net_admin=ep"
    socket = deployed.shell("stat --format='%U:%G %a' /run/user/$(id -u hotstack)/libvirt/libvirt-sock")
    assert socket.strip() == "hotstack:kvm 770"


def test_guest_gets_its_network_device(guest: Lab) -> None:
    """Making the device takes the capability, which the guest itself does not have."""
    now = look(guest)
    assert GUEST in now.names.split()
    assert now.tap == TAP
    status = guest.shell(f"id -u hotstack; grep -E '^(Uid|CapEff):' /proc/{now.guest}/status").split()
    assert status[2] == status[0]
    assert status[-1] == "0" * 16


def test_session_and_system_do_not_see_each_other(guest: Lab) -> None:
    """Define a guest in the system's libvirt, which nothing of ours touches."""
    system = "virsh --quiet --connect=qemu:///system"
    guest.run(*system.split(), "define", "/dev/stdin", data=DOMAIN.format(name=OTHER, devices=""))
    try:
        assert OTHER not in look(guest).names.split()
        assert set(guest.shell(f"{system} list --all --name").split()) == {OTHER, "foreign"}
    finally:
        guest.shell(f"{system} undefine {OTHER}")


def test_other_users_can_not_use_the_capability(deployed: Lab) -> None:
    """Only root and the group of the user may run the copy; the distribution's program has no capability."""
    done = deployed.attempt("runuser", "-u", "nobody", "--", COPY, "--version")
    assert "Permission denied" in done.stderr
    assert deployed.run("getcap", PROGRAM) == ""


@pytest.mark.parametrize("how", ["restart", "SIGTERM", "SIGKILL"])
def test_guest_outlives_the_daemon(guest: Lab, how: str) -> None:
    """End the daemon in different ways; the new one finds the guest again."""
    before = look(guest)
    restart = f"systemctl --user --machine=hotstack@ restart {UNIT}"
    guest.shell(restart if how == "restart" else f"kill -s {how[3:]} {before.daemon}")

    def back() -> Look | None:
        now = look(guest)
        return now if now.answers and now.daemon not in {before.daemon, "0"} else None

    now = guest.wait(back, "the session libvirt is back", 30)
    assert GUEST in now.names.split()
    assert (now.guest, now.tap) == (before.guest, TAP)


def test_package_update(guest: Lab) -> None:
    """Replace the program as a package update does: copy, capability and daemon follow, guests stay."""
    before = look(guest)

    def followed() -> Look | None:
        now = look(guest)
        return now if now.same and now.answers and now.program == COPY else None

    update = f"cp --preserve=mode {PROGRAM} {PROGRAM}.new && echo >>{PROGRAM}.new && mv {PROGRAM}.new {PROGRAM}"
    guest.shell(f"cp --preserve=all {PROGRAM} {PROGRAM}.kept && {update}")
    try:
        updated = guest.wait(followed, "the session runs the new program", 60)
    finally:
        guest.shell(f"mv {PROGRAM}.kept {PROGRAM}")
    restored = guest.wait(followed, "the session runs the old program again", 60)
    assert len({before.daemon, updated.daemon, restored.daemon}) == 3
    for now in (updated, restored):
        assert now.copy == "root:hotstack 750 cap_net_admin=ep"
        assert GUEST in now.names.split()
        assert (now.guest, now.tap) == (before.guest, TAP)
