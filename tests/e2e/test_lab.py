# SPDX-License-Identifier: Apache-2.0
"""What tools/lab promises, whatever is deployed."""

from __future__ import annotations

import os
import subprocess

from lab import TOOL, Lab

ABSENT = {**os.environ, "HOTSTACK_LAB_NAME": "hotstack-absent"}


def tool(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run tools/lab."""
    return subprocess.run([TOOL, *arguments], check=False, capture_output=True, timeout=300, **options)  # type: ignore[call-overload, no-any-return]


def test_exec_passes_streams_and_status() -> None:
    """Send bytes that are no text through a command that fails."""
    data = bytes(range(256))
    done = tool("exec", "--", "sh", "-c", "cat; echo told >&2; exit 7", input=data)
    assert (done.returncode, done.stdout, done.stderr) == (7, data, b"told\n")


def test_exec_passes_arguments_as_they_are() -> None:
    """No shell is in between."""
    done = tool("exec", "--", "printf", "%s|", "a b", "$HOME", "--", "'")
    assert done.stdout == b"a b|$HOME|--|'|"


def test_a_shell_finds_what_exec_finds() -> None:
    """Ansible is where only the environment of the lab host tells."""
    done = tool("shell", input=b"command -v ansible-playbook\n")
    assert (done.returncode, done.stdout) == (0, b"/opt/ansible/bin/ansible-playbook\n")


def test_up_again_leaves_the_lab_host_alone(lab: Lab) -> None:
    """Compare the start of its first process."""
    started = lab.run("stat", "--format=%Y", "/proc/1")
    assert tool("up").returncode == 0
    assert lab.run("stat", "--format=%Y", "/proc/1") == started


def test_status_tells_what_runs() -> None:
    """The exit status says it too."""
    assert tool("status").returncode == 0
    absent = tool("status", env=ABSENT)
    assert absent.returncode == 1
    assert absent.stdout.startswith(b"hotstack-absent: does not exist\n")


def test_a_lab_that_is_not_there_is_one_sentence() -> None:
    """Each command that needs it says what to do."""
    for command in (["exec", "--", "true"], ["deploy"], ["reboot"], ["logs"]):
        done = tool(*command, env=ABSENT)
        assert (done.returncode, done.stderr) == (
            1,
            b"tools/lab: hotstack-absent does not run; tools/lab up starts it.\n",
        )


def test_lab_host_resembles_a_machine(lab: Lab) -> None:
    """It has what firmware, kernel and DHCP would have given it, and one name."""
    assert lab.run("systemctl", "is-system-running").strip() == "running"
    assert lab.run("hostname") == lab.run("hostname", "-f")
    assert lab.run("findmnt", "--noheadings", "--output=PROPAGATION", "/").strip() == "shared"
    assert lab.run("stat", "--format=%a", "/dev/net/tun").strip() == "666"
    assert lab.run("firewall-cmd", "--state").strip() == "running"
    assert lab.run("getent", "hosts", "localhost")
