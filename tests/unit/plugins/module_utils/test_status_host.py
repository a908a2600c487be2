# SPDX-License-Identifier: Apache-2.0
"""What is not well with the host, and what to do next."""

from __future__ import annotations

import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_deployment import GIB, SETTINGS, Break, assert_names, fails, field, good

from ansible_collections.hotstack.os.plugins.module_utils import status_host
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import (
    AppArmor,
    Clock,
    Disk,
    Facts,
    FileMode,
    Unit,
    UnitFile,
)

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "full disk": (
        *(field("disks", [Disk("/data", 1, GIB, 100 * GIB, 500, 1000)]), "disk /data"),
        *("nearly full", "du --one-file-system"),
    ),
    "no inodes": (
        *(field("disks", [Disk("/data", 1, 50 * GIB, 100 * GIB, 5, 1000)]), "disk /data"),
        *("hardly any more files", "--inodes /data"),
    ),
    "disks": (fails("disks"), "disk", "no answer", "df"),
    "credentials for all": (
        *(field("modes", [FileMode("/data/credentials.json", 0o644)]), "/data/credentials.json"),
        *("others may use it", "chmod go= /data/credentials.json"),
    ),
    "credentials for the group": (
        *(field("modes", [FileMode("/data/credentials.json", 0o640)]), "/data/credentials.json"),
        *("its group may use it", "chmod go= /data/credentials.json"),
    ),
    "credentials of somebody": (
        *(field("modes", [FileMode("/data/credentials.json", 0o600, "joe")]), "/data/credentials.json"),
        *("belongs to joe", "chown root"),
    ),
    "no credentials": (
        *(field("modes", [FileMode("/data/credentials.json", None)]), "/data/credentials.json"),
        *("not there", "hotstack.os.site"),
    ),
    "open configuration": (
        *(field("modes", [FileMode("/data/runtime/config/a/a.conf", 0o644)]), "/data/runtime/config/a/a.conf"),
        *("others", "chmod g-w,o= /data/runtime/config/a/a.conf"),
    ),
    "key of another": (
        *(
            field("modes", [FileMode("/data/keystone/fernet-keys/0", 0o600, "joe", "42411")]),
            "/data/keystone/fernet-keys/0",
        ),
        *("belongs to joe, not to 42411", "chown 42411"),
    ),
    "modes": (fails("modes"), "files with secrets", "no answer", "site"),
    "clock unsynchronised": (
        *(field("clock", Clock(False, 5000.0, 4000.0, 3000.0)), "clock"),
        *("no time server", "chronyc sources"),
    ),
    "clock set back": (
        *(field("clock", Clock(True, 1000.0, 4000.0, 3000.0)), "clock"),
        *("earlier than the last run", "timedatectl"),
    ),
    "clock": (fails("clock"), "clock", "no answer", "timedatectl"),
    "AppArmor": (fails("apparmor"), "AppArmor", "no answer", "aa-status"),
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)


@pytest.mark.parametrize(
    ("name", "mode", "cause", "cured"),
    [
        ("config/a.conf", 0o660, "its group may write it", 0o640),
        ("config/a.conf", 0o620, "its group may write it", 0o600),
        ("config/a.conf", 0o664, "others may use it", 0o640),
        ("config/a.conf", 0o641, "others may use it", 0o640),
        ("credentials.json", 0o640, "its group may use it", 0o600),
        ("credentials.json", 0o777, "others may use it", 0o700),
        ("key", 0o440, "its group may use it", 0o400),
    ],
)
def test_the_command_cures(tmp_path: Path, name: str, mode: int, cause: str, cured: int) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.chmod(mode)
    facts, settings = good(), {**SETTINGS, "hotstack_os_config_dir": str(tmp_path / "config")}
    facts.modes = [FileMode(str(path), mode)]
    [line] = status_host.mode_lines(settings, facts)
    assert line.cause == cause
    subprocess.run(line.command, shell=True, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == cured
    facts.modes = [FileMode(str(path), cured)]
    [line] = status_host.mode_lines(settings, facts)
    assert line.good


ENFORCED = AppArmor(True, True, "enforce")


def confined(state: AppArmor, **changes: Any) -> Facts:
    """Return a deployment with this state of AppArmor, in which nova-compute alone is privileged."""
    facts = good()
    facts.apparmor = state
    facts.unit_files = {name: UnitFile("d1", True, profile=True) for name in facts.unit_files}
    facts.unit_files["nova-compute"] = UnitFile("d1", True)
    facts.confined = frozenset(set(facts.containers) - {"nova-compute"})
    return replace(facts, **changes)


def test_apparmor_enforces_the_profile() -> None:
    [line] = status_host.apparmor_lines(confined(ENFORCED))
    assert (line.good, line.seen) == (True, "profile hotstack-os: enforce")


def test_a_host_without_apparmor_has_no_line() -> None:
    facts = confined(AppArmor(file=True), unit_files={"keystone": UnitFile("d1", True, profile=False)})
    assert list(status_host.apparmor_lines(facts)) == []


SITE = "ansible-playbook hotstack.os.site"
PROFILE_CASES: dict[str, tuple[Facts, str, str]] = {
    "switched off later": (confined(AppArmor(False, True)), "podman refuses to start", SITE),
    "switched on later": (
        *(confined(ENFORCED, unit_files={"keystone": UnitFile("d1", True, profile=False)}), "can't signal"),
        SITE,
    ),
    "disabled by a link": (
        *(confined(AppArmor(True, True, "", ("/etc/apparmor.d/disable/hotstack-os",))), "/etc/apparmor.d/disable"),
        SITE,
    ),
    "complain mode": (confined(AppArmor(True, True, "complain")), "not enforced", SITE),
    "no file": (confined(AppArmor(True, False, "enforce")), "/etc/apparmor.d/hotstack-os is missing", SITE),
    "not loaded": (
        *(confined(AppArmor(True, True)), "starts no container"),
        "apparmor_parser --replace /etc/apparmor.d/hotstack-os",
    ),
    "not loaded at boot": (
        *(confined(ENFORCED, units={"apparmor.service": Unit(enabled="disabled")}), "at boot"),
        "systemctl enable apparmor.service",
    ),
    "unloaded for a while": (
        confined(ENFORCED, confined=frozenset({"dnsmasq", "haproxy", "keystone", "nova-api", "ovn-northd"})),
        *("without the profile", "systemctl restart hotstack-os-mariadb.service hotstack-os-ovn-controller.service"),
    ),
}


@pytest.mark.parametrize(("facts", "cause", "command"), PROFILE_CASES.values(), ids=PROFILE_CASES)
def test_what_is_wrong_with_the_profile(facts: Facts, cause: str, command: str) -> None:
    [line] = status_host.apparmor_lines(facts)
    assert cause in line.cause
    assert line.command == command
