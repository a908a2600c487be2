# SPDX-License-Identifier: Apache-2.0
"""What is not well with the services, and what to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_deployment import (
    DONE,
    HEALTHY,
    SERVICES,
    Break,
    assert_names,
    bad,
    container,
    fails,
    field,
    good,
    stop,
    unit,
    unit_name,
)

from ansible_collections.hotstack.os.plugins.module_utils.status_facts import FileMode, UnitFile, Why

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "not at boot": (unit("hotstack-os.target", enabled="disabled"), "hotstack-os.target", "next boot", "enable"),
    "no target": (unit("hotstack-os.target", load="not-found"), "hotstack-os.target", "no such", "site"),
    "no unit": (unit(unit_name("dnsmasq"), load="not-found"), "dnsmasq", "it has no unit", "hotstack.os.site"),
    "masked": (unit(unit_name("dnsmasq"), load="masked"), "dnsmasq", "masked", "systemctl unmask hotstack-os-dnsmasq"),
    "broken unit": (unit(unit_name("dnsmasq"), load="bad-setting"), "dnsmasq", "bad-setting", "systemctl status"),
    "edited unit": (
        *(lambda facts: facts.unit_files.update(dnsmasq=UnitFile("d1", False)), "dnsmasq"),
        *("not as the playbook left it: its unit", "hotstack.os.site"),
    ),
    "edited configuration": (
        *(lambda facts: facts.unit_files.update(dnsmasq=UnitFile("d1", True, {}, ("/a/b.conf",))), "dnsmasq"),
        *("/a/b.conf", "hotstack.os.site"),
    ),
    "no container": (
        *(lambda facts: facts.containers.pop("nova-compute"), "nova-compute"),
        *("no container", "systemctl restart hotstack-os-nova-compute"),
    ),
    "paused": (
        *(container("nova-compute", state="paused"), "nova-compute"),
        *("is paused", "podman unpause hotstack-os-nova-compute"),
    ),
    "unhealthy": (
        *(container("nova-compute", health="unhealthy"), "nova-compute"),
        *("health check fails", "journalctl -u hotstack-os-nova-compute"),
    ),
    "no health": (container("nova-compute", health=""), "nova-compute", "no word", "journalctl"),
    "older": (
        *(container("nova-compute", digest="d0"), "nova-compute"),
        *("older definition", "systemctl restart hotstack-os-nova-compute"),
    ),
    "no container listed": (fails("containers"), "haproxy", "podman can't be asked: no answer", "podman ps"),
    "stopped": (
        lambda facts: stop(facts, "dnsmasq"),
        "dnsmasq",
        "it was stopped",
        "systemctl start hotstack-os-dnsmasq",
    ),
    "stopped and killed": (
        *(lambda facts: stop(facts, "dnsmasq", active="failed", result="exit-code", exit_status="137"), "dnsmasq"),
        *("it was stopped; its main process ended with status 137", "systemctl start hotstack-os-dnsmasq"),
    ),
    "failing": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", result="exit-code", restarts=1), "dnsmasq"),
        *("ended with status 0 and it is started again, after 1 restart so far", "journalctl -u hotstack-os-dnsmasq"),
    ),
    "out of memory": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", sub="auto-restart", result="oom-kill"), "dnsmasq"),
        *("no more memory and it is started again, after 0 restarts", "journalctl"),
    ),
    "unknown result": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", result="strange"), "dnsmasq"),
        *("systemd says strange", "journalctl"),
    ),
    "starting": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", restarts=2), "dnsmasq"),
        *("starting for the 3. time", "journalctl"),
    ),
    "stopping": (
        *(lambda facts: stop(facts, "dnsmasq", active="deactivating"), "dnsmasq"),
        *("being stopped", "journalctl"),
    ),
    "one-shot not done": (
        *(field("stamps", frozenset()), "mariadb-init"),
        *("not done", "systemctl start hotstack-os-mariadb-init"),
    ),
    "no container of another kind": (container("nova-compute", state="exited"), "nova-compute", "exited", "journalctl"),
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)


def test_systemd_does_not_answer() -> None:
    facts = good()
    facts.units, facts.errors["units"] = {}, "no answer"
    names = {line.name for line in bad(facts)}
    assert set(SERVICES) <= names
    assert "hotstack-os.target" not in names


@pytest.mark.parametrize("state", ["activating", "inactive"])
def test_an_undone_step_holds_others_back(state: str) -> None:
    facts = good()
    facts.stamps = frozenset()
    stop(facts, "mariadb", active=state)
    facts.units[unit_name("mariadb-init")] = replace(DONE, active="activating", sub="start")
    lines = {line.name: line for line in bad(facts)}
    assert lines["mariadb"].follows == "mariadb-init"
    assert lines["mariadb-init"].cause == "it is not done yet"


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        (Why(said="no space\nmore"), "ended with status 1; it said: no space"),
        (Why(said="x", health="port closed"), "it said: port closed"),
        (Why(said="x" * 300), "x..."),
        (Why(image_missing=True), "its image is not on this host"),
    ],
)
def test_what_a_service_said(why: Why, cause: str) -> None:
    facts = good()
    stop(facts, "dnsmasq", active="failed", result="exit-code", exit_status="1")
    facts.why["dnsmasq"] = why
    assert cause in next(line for line in bad(facts) if line.name == "dnsmasq").cause


def test_what_a_health_check_said() -> None:
    facts = good()
    facts.containers["dnsmasq"] = replace(HEALTHY, health="starting")
    facts.why["dnsmasq"] = Why(health="port closed")
    line = next(line for line in bad(facts) if line.name == "dnsmasq")
    assert line.cause == "its health check has not succeeded yet: port closed"


def test_mode_is_why_a_configuration_differs() -> None:
    facts = good()
    path = "/data/runtime/config/keystone/keystone.conf"
    facts.modes = [FileMode(path, 0o644)]
    facts.unit_files["keystone"] = UnitFile("d1", True, {}, (path,))
    line = next(line for line in bad(facts) if line.name == "keystone")
    assert (line.command, line.follows) == (f"chmod g-w,o= {path}", path)
