# SPDX-License-Identifier: Apache-2.0
"""How many times longer than on an ordinary machine this host may take for anything: what multiplies our timeouts.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Where a host remembers its factor, so that the next run finds the same.
FILE = "/etc/hotstack-os/time_factor.json"
AUTO = "auto"
# What a user may set; a measurement finds a power of two up to MOST_MEASURED.
LEAST, MOST, MOST_MEASURED = 1, 100, 32
# The most seconds that an ordinary machine's processor takes for work(), about twice those of a server of today.
ORDINARY = 0.025
ATTEMPTS = 9


@dataclass(frozen=True)
class TimeFactor:
    """The factor of a host, and whether it was measured or set."""

    factor: int = 1
    measured: bool = True

    def text(self) -> str:
        """Return it as the text of FILE."""
        return json.dumps({"factor": self.factor, "measured": self.measured}) + "\n"


def work() -> float:
    """Return the seconds of processor time that a fixed amount of work takes; waiting for the processor is none."""
    begin, number = time.thread_time(), 0
    for step in range(200_000):
        number = (number * 31 + step) & 0xFFFF
    return time.thread_time() - begin


def factor_of(seconds: float) -> int:
    """Return the power of two that covers a processor which takes so many seconds for work()."""
    factor = 1
    while factor < MOST_MEASURED and seconds > factor * ORDINARY:
        factor *= 2
    return factor


def measure(attempt: Callable[[], float] = work) -> int:
    """Return the factor of this machine. The best of several attempts counts, for other load only makes them slower."""
    return factor_of(min(attempt() for _attempt in range(ATTEMPTS)))


def parse(text: str) -> TimeFactor | None:
    """Return what the text of FILE says, None if that is no factor."""
    try:
        known = json.loads(text)
    except ValueError:
        return None
    factor = known.get("factor") if isinstance(known, Mapping) else None
    if not isinstance(factor, int) or isinstance(factor, bool) or not LEAST <= factor <= MOST:
        return None
    return TimeFactor(factor, known.get("measured") is True)


def remembered(path: str = FILE) -> TimeFactor | None:
    """Return the factor that this host remembers, None if it has none yet."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except (OSError, UnicodeDecodeError):
        return None


def current(path: str = FILE) -> int:
    """Return what to multiply a timeout with on this host."""
    known = remembered(path)
    return known.factor if known else 1


def is_setting(value: str) -> bool:
    """Return whether hotstack_os_time_factor may have this value."""
    return value == AUTO or (value.isascii() and value.isdigit() and LEAST <= int(value) <= MOST)


def decide(setting: str, known: TimeFactor | None, measured: Callable[[], int] = measure) -> TimeFactor:
    """Return the factor that a host has with this setting; what it once measured stays."""
    if setting != AUTO:
        return TimeFactor(int(setting), measured=False)
    return known if known and known.measured else TimeFactor(measured())
