# SPDX-License-Identifier: Apache-2.0
"""AppArmor on a host, and the profile of the containers.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

PROFILE = "hotstack-os"
FILE = f"/etc/apparmor.d/{PROFILE}"
# Links by which administrators turn a profile off, or make it report only; they hold at the next boot too.
OVERRIDES = tuple(f"/etc/apparmor.d/{folder}/{PROFILE}" for folder in ("disable", "force-complain"))
# What a unit passes to podman, which refuses it where AppArmor is off.
OPTION = f"--security-opt=apparmor={PROFILE}"

# podman takes AppArmor for enabled under the same two conditions.
PARAMETER = "/sys/module/apparmor/parameters/enabled"
FILE_SYSTEM = "/sys/kernel/security/apparmor"
TEST = f"test -d {FILE_SYSTEM} && grep -qs ^Y {PARAMETER}"

PARSER = "apparmor_parser"
PARSER_MISSING = f"AppArmor is enabled, but {PARSER} is missing: install the package apparmor."
ENFORCE = "enforce"

# Where the host keeps the compiled profile for its boots.
CACHE = f"/var/cache/apparmor/*/{PROFILE}"
# What unloads the profile whose name is written to it.
REMOVE = f"{FILE_SYSTEM}/.remove"

_LINE = re.compile(r"(.+) \((\S+)\)")


def enabled() -> bool:
    """Return whether the kernel enforces AppArmor and this host can load profiles."""
    try:
        with open(PARAMETER, encoding="ascii") as file:
            return file.read(1) == "Y" and os.path.isdir(FILE_SYSTEM)
    except OSError:
        return False


def parse_profiles(text: str) -> dict[str, str]:
    """Return the mode of each loaded profile by name, from the text of the kernel's list of them."""
    return {found[1]: found[2] for line in text.splitlines() if (found := _LINE.fullmatch(line))}


def loaded() -> Mapping[str, str]:
    """Return the mode of each loaded profile by name. Root alone may ask."""
    with open(f"{FILE_SYSTEM}/profiles", encoding="utf-8") as file:
        return parse_profiles(file.read())


def confines(label: str) -> bool:
    """Return whether a label contains the profile, alone or with others, from the text in /proc/PID/attr/current."""
    return PROFILE in label.strip("\0\n").partition(" ")[0].split("//&")


def overrides() -> list[str]:
    """Return the existing links that change how the profile is loaded."""
    return [path for path in OVERRIDES if os.path.lexists(path)]
