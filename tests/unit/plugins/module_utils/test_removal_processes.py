# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_processes, removal_traces

UNIT_GROUP = f"/user.slice/user-990.slice/user@990.service/app.slice/{removal_traces.SESSION_UNIT}"
CONTAINER = "/machine.slice/libpod-1.scope"


@pytest.mark.parametrize(
    ("init", "lines", "of_user", "of_session"),
    [
        ("0::/init.scope", [f"0::{UNIT_GROUP}"], True, True),
        ("0::/init.scope", ["0::/user.slice/user-990.slice/session-1.scope"], True, False),
        ("0::/init.scope", ["0::/user.slice/user-9901.slice/session-1.scope"], False, False),
        ("0::/init.scope", [f"0::{CONTAINER}"], False, False),
        ("0::/init.scope", [f"0::{CONTAINER}{UNIT_GROUP}"], False, False),
        ("1:name=systemd:/init.scope\n0::/init.scope", ["4:cpu:/", f"1:name=systemd:{UNIT_GROUP}"], True, True),
        ("1:name=systemd:/init.scope", ["4:cpu:/", f"1:name=systemd:{CONTAINER}{UNIT_GROUP}", "0::/"], False, False),
        (f"0::{CONTAINER}/init.scope", [f"0::{CONTAINER}{UNIT_GROUP}"], True, True),
        (f"0::{CONTAINER}/init.scope", [f"0::{CONTAINER}/machine.slice/x.scope{UNIT_GROUP}"], False, False),
    ],
    ids=["unit", "login", "other user", "container", "systemd in one", "hybrid", "in one, hybrid", "lab", "in a lab"],
)
def test_processes_are_known_by_their_control_group(
    monkeypatch: pytest.MonkeyPatch, init: str, lines: list[str], of_user: bool, of_session: bool
) -> None:
    files = {"/proc/1/cgroup": init, "/proc/7/cgroup": "\n".join(lines), "/proc/7/cmdline": "q\0-name\0guest=a,x"}
    monkeypatch.setattr("os.listdir", lambda _path: ["1", "7", "8", "self"])

    def opened(path: str, mode: str = "r", **_how: str) -> io.IOBase:
        if path not in files:
            raise FileNotFoundError(path)
        return io.BytesIO(files[path].encode()) if mode == "rb" else io.StringIO(files[path])

    monkeypatch.setattr("builtins.open", opened)
    assert (removal_processes.user_processes(990), removal_processes.session()) == (
        [7] if of_user else [],
        {7: "a"} if of_session else {},
    )


def test_owners_of_a_session_without_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"7": {"": UNIT_GROUP}, "8": {"name=systemd": UNIT_GROUP, "": "/"}}
    monkeypatch.setattr(removal_processes, "control_groups", lambda pid: groups[pid])
    assert removal_processes.session_owners([7, 8]) == (990,)
    monkeypatch.setattr(removal_processes, "control_groups", mock.Mock(side_effect=FileNotFoundError))
    assert removal_processes.session_owners([7]) == ()


def test_session_of_this_host_is_read() -> None:
    assert all(pid > 0 for pid in removal_processes.session())
