# SPDX-License-Identifier: Apache-2.0
"""The machine is what the container lab is not: a kernel of its own, udev, AppArmor, NetworkManager, and KVM."""

from __future__ import annotations

from lab import ROOT, Lab

KVM = (ROOT / "plugins/module_utils/kvm.py").read_text()


def test_kernel_and_services_are_debians(lab: Lab) -> None:
    assert "Debian" in lab.run("uname", "--kernel-version")
    assert lab.run("systemctl", "is-system-running").strip() == "running"
    for unit in ("apparmor", "NetworkManager", "systemd-udevd"):
        assert lab.active(f"{unit}.service")
    assert lab.run("cat", "/sys/module/apparmor/parameters/enabled").strip() == "Y"


def test_kvm_works(lab: Lab) -> None:
    """The collection's own check agrees; the emulated processor has AMD's virtualization."""
    assert "svm" in lab.run("cat", "/proc/cpuinfo").split()
    assert lab.run("python3", "-", "nobody", data=KVM).strip() == "nobody can't open /dev/kvm: Permission denied"
    assert lab.run("python3", "-", data=KVM).strip() == ""


def test_a_broken_kvm_is_not_taken_for_a_working_one(lab: Lab) -> None:
    """Without its module the device is gone."""
    lab.run("modprobe", "--remove", "kvm_amd", "kvm")
    try:
        assert lab.run("python3", "-", data=KVM).strip() == "there is no /dev/kvm"
    finally:
        lab.run("modprobe", "kvm_amd")
