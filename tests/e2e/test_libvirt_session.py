# SPDX-License-Identifier: Apache-2.0
"""The session libvirt: who reaches it, what a guest in it gets, and what a guest outlives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab

SOCKET = "qemu:///session?socket=/run/user/$(id -u hotstack)/libvirt/libvirt-sock"
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


def virsh(lab: Lab, *words: str, data: str | None = None) -> str:
    """Ask the session libvirt as root."""
    command = f'virsh --quiet --connect "{SOCKET}" "$@"'
    return lab.run("sh", "-c", command, "sh", *words, data=data, timeout=60).strip()


def answers(lab: Lab) -> bool:
    """Tell whether the session libvirt answers."""
    return lab.attempt("sh", "-c", f'virsh --quiet --connect "{SOCKET}" list').returncode == 0


def systemctl(lab: Lab, *words: str) -> str:
    """Talk to the service manager of the user."""
    return lab.run("systemctl", "--user", "--machine=hotstack@", *words).strip()


def daemon(lab: Lab) -> str:
    """Return the process id of the session libvirt."""
    return systemctl(lab, "show", "--property=MainPID", "--value", UNIT)


def guest_process(lab: Lab) -> str:
    """Return the process id of the guest."""
    return lab.run("pgrep", "--full", f"guest={GUEST}", check=False).strip()


@pytest.fixture(scope="module")
def guest(deployed: Lab) -> Iterator[Lab]:
    """Run a guest with nothing but a network device."""
    interface = f"<interface type='ethernet'><target dev='{TAP}'/></interface>"
    virsh(deployed, "create", "/dev/stdin", data=DOMAIN.format(name=GUEST, devices=interface))
    yield deployed
    virsh(deployed, "destroy", GUEST)


def test_root_reaches_the_session(deployed: Lab) -> None:
    """Ask as the containers do."""
    assert GUEST not in virsh(deployed, "list", "--all")
    uid = deployed.run("id", "--user", "hotstack").strip()
    socket = f"/run/user/{uid}/libvirt/libvirt-sock"
    assert deployed.run("stat", "--format=%U:%G %a", socket).strip() == "hotstack:kvm 770"


def test_guest_gets_its_network_device(guest: Lab) -> None:
    """Making the device takes the capability."""
    assert GUEST in virsh(guest, "list", "--name")
    assert TAP in guest.run("ip", "link", "show", "dev", TAP)
    uid = guest.run("id", "--user", "hotstack").strip()
    assert guest.shell(f"grep ^Uid: /proc/{guest_process(guest)}/status").split()[1] == uid
    assert guest.shell(f"grep ^CapEff: /proc/{guest_process(guest)}/status").split()[1] == "0" * 16


def test_session_and_system_do_not_see_each_other(guest: Lab) -> None:
    """Define a guest in the system's libvirt, which nothing of ours touches."""
    guest.run("virsh", "--connect=qemu:///system", "define", "/dev/stdin", data=DOMAIN.format(name=OTHER, devices=""))
    try:
        assert OTHER not in virsh(guest, "list", "--all", "--name").split()
        assert guest.run("virsh", "--connect=qemu:///system", "list", "--all", "--name").split() == [OTHER]
    finally:
        guest.run("virsh", "--connect=qemu:///system", "undefine", OTHER)


def test_other_users_can_not_use_the_capability(deployed: Lab) -> None:
    """Only root and the group of the user may run the copy; the distribution's program has no capability."""
    done = deployed.attempt("runuser", "-u", "nobody", "--", COPY, "--version")
    assert "Permission denied" in done.stderr
    assert deployed.run("getcap", PROGRAM) == ""


@pytest.mark.parametrize("how", ["restart", "SIGTERM", "SIGKILL"])
def test_guest_outlives_the_daemon(guest: Lab, how: str) -> None:
    """End the daemon in different ways; the new one finds the guest again."""
    process, old = guest_process(guest), daemon(guest)
    if how == "restart":
        systemctl(guest, "restart", UNIT)
    else:
        guest.run("kill", f"-{how}", old)
    guest.wait(lambda: daemon(guest) not in {old, "0"} and answers(guest), "the session libvirt is back", 30)
    assert GUEST in virsh(guest, "list", "--name").split()
    assert guest_process(guest) == process
    assert TAP in guest.run("ip", "link", "show", "dev", TAP)


def test_package_update(guest: Lab) -> None:
    """Replace the program as a package update does: copy, capability and daemon follow, guests stay."""
    process = guest_process(guest)
    guest.shell(f"cp --preserve=all {PROGRAM} {PROGRAM}.kept")
    try:
        for step in (f"cp {PROGRAM}.kept {PROGRAM}.new && echo >>{PROGRAM}.new", f"mv {PROGRAM}.kept {PROGRAM}.new"):
            guest.shell(f"{step} && mv {PROGRAM}.new {PROGRAM}")
            guest.wait(lambda: same(guest) and runs_copy(guest) and answers(guest), "the new program runs", 60)
            assert "cap_net_admin=ep" in guest.run("getcap", COPY)
            assert guest.run("stat", "--format=%U:%G %a", COPY).strip() == "root:hotstack 750"
    finally:
        guest.shell(f"test ! -e {PROGRAM}.kept || mv {PROGRAM}.kept {PROGRAM}")
    assert GUEST in virsh(guest, "list", "--name").split()
    assert guest_process(guest) == process


def same(lab: Lab) -> bool:
    """Tell whether the copy is one of what the package brings."""
    return lab.attempt("cmp", "--silent", PROGRAM, COPY).returncode == 0


def runs_copy(lab: Lab) -> bool:
    """Tell whether the daemon runs the copy that lies there now."""
    return lab.run("readlink", f"/proc/{daemon(lab)}/exe", check=False).strip() == COPY
