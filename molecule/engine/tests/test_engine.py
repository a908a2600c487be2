# SPDX-License-Identifier: Apache-2.0
"""The engine on a real host: toy-step, then toy-store, then toy-web. Each test leaves the three healthy."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

SCENARIO = Path(__file__).resolve().parents[1]
SECRET = "toy-s3cret/x"
RUNTIME = "/var/lib/hotstack-os/runtime"
TOYS = ("toy-step", "toy-store", "toy-web")

# What is installed in the lab host is this working tree; running Ansible there is quicker than through a connection.
PLAYBOOK = "/opt/hotstack-os/source/molecule/engine/converge.yml"


def command(*options: str, **variables: Any) -> str:
    """Return the command that runs the scenario's playbook with other variables."""
    return shlex.join(["ansible-playbook", PLAYBOOK, *options, "--extra-vars", json.dumps(variables)])


class Host:
    """Questions to the lab host."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def run(self, command: str) -> str:
        """Return what a command printed."""
        return str(self.host.run(command).stdout).strip()

    def play(self, *options: str, succeeds: bool = True, **variables: Any) -> str:
        """Run the playbook and return what it printed."""
        result = self.host.run(command("-v", *options, **variables))
        output = str(result.stdout) + str(result.stderr)
        assert (result.rc == 0) == succeeds, output
        assert SECRET not in output
        return " ".join(output.split())

    def started(self) -> dict[str, str]:
        """Return what identifies the current run of each long-running toy."""
        return {name: self.show(name, "InvocationID") for name in TOYS[1:]}

    def show(self, name: str, what: str) -> str:
        """Return a property of a toy's unit."""
        return self.run(f"systemctl show --value --property {what} hotstack-os-{name}")

    def healthy(self) -> bool:
        """Whether both long-running toys are."""
        return self.run("podman ps --filter health=healthy --format '{{.Names}}' | sort").split() == [
            f"hotstack-os-{name}" for name in TOYS[1:]
        ]

    def wait_until_healthy(self, seconds: float = 60) -> None:
        """Wait until both long-running toys are healthy again."""
        deadline = time.monotonic() + seconds
        while not (self.healthy() and self.run("systemctl list-jobs --no-legend 'hotstack-os*'") == ""):
            assert time.monotonic() < deadline, self.run("podman ps --all; systemctl list-units --all 'hotstack-os-*'")
            time.sleep(0.5)


@pytest.fixture
def lab(host: Any) -> Iterator[Host]:
    there = Host(host)
    there.wait_until_healthy()
    yield there
    there.wait_until_healthy()


def test_started_in_order(lab: Host) -> None:
    lab.play(toy_state="absent", toy_absent=None)
    lab.play()
    times = [int(lab.show(name, "InactiveExitTimestampMonotonic")) for name in TOYS]
    ready = [
        int(lab.show("toy-step", "InactiveEnterTimestampMonotonic")),
        int(lab.show("toy-store", "ActiveEnterTimestampMonotonic")),
    ]
    assert times == sorted(times)
    assert ready[0] <= times[1]
    assert ready[1] <= times[2]
    assert lab.run("cat /var/lib/hotstack-os/toy/step").isdigit()


def test_a_second_run_changes_nothing_and_is_quick(lab: Host) -> None:
    before = lab.started()
    assert "changed=0" in lab.play("--diff")
    assert "changed=0" in lab.play("--diff", "--check")
    assert lab.started() == before


def test_a_changed_file_restarts_exactly_one(lab: Host) -> None:
    before = lab.started()
    announced = lab.play("--check", "--diff", toy_greeting="good evening")
    assert "+echo good evening" in announced
    assert lab.started() == before
    output = lab.play("--diff", toy_greeting="good evening")
    assert "restarted: - toy-web" in output
    after = lab.started()
    assert after["toy-store"] == before["toy-store"]
    assert after["toy-web"] != before["toy-web"]
    lab.play()


def test_a_one_shot_runs_again_only_when_it_changed(lab: Host) -> None:
    before, times = lab.run("cat /var/lib/hotstack-os/toy/step"), lab.started()
    lab.run("systemctl restart hotstack-os-toy-store")
    assert lab.run("cat /var/lib/hotstack-os/toy/step") == before
    lab.play(toy_step_command="echo again > /data/step")
    assert lab.run("cat /var/lib/hotstack-os/toy/step") == "again"
    assert lab.started()["toy-web"] == times["toy-web"]
    assert len(lab.run(f"ls {RUNTIME}/stamps").split()) == 1
    lab.play()


@pytest.mark.parametrize("seconds", [1.0, 2.5, 5.0])
def test_a_killed_run_is_mended(lab: Host, seconds: float) -> None:
    killed = command(toy_greeting=f"killed after {seconds}")
    lab.run(f"systemd-run --unit=killed-run --setenv=PATH --setenv=ANSIBLE_CONFIG --setenv=HOME=/root {killed}")
    time.sleep(seconds)
    lab.run("systemctl kill --signal=KILL killed-run; systemctl reset-failed killed-run")
    lab.play(toy_greeting=f"killed after {seconds}")
    assert f"killed after {seconds}" in lab.run("podman logs hotstack-os-toy-web")
    assert "changed=0" in lab.play(toy_greeting=f"killed after {seconds}")


def test_what_was_written_but_not_started_is_mended(lab: Host) -> None:
    for name in ("config/toy-web/web.sh", "../../../../etc/containers/systemd/hotstack-os-toy-web.container"):
        lab.run(f"sed -i s/web/wbe/ /var/lib/hotstack-os/runtime/{name}")
    assert "changed=1" in lab.play()
    lab.run("systemctl stop hotstack-os-toy-web")
    assert "changed=1" in lab.play()


def test_failing_health_ends_with_one_message(lab: Host) -> None:
    output = lab.play(succeeds=False, toy_last_act='echo the password is "$password"; exit 3')
    assert "hotstack-os-toy-web did not become healthy after" in output
    assert "3 restarts" in output
    assert "the password is ********" in output
    assert "journalctl -u hotstack-os-toy-web" in output
    lab.play()


def test_a_service_that_never_becomes_healthy_is_named(lab: Host) -> None:
    toys = lab_toys(start_timeout=5)
    output = lab.play(succeeds=False, toy_last_act="echo still busy", toy_containers=toys)
    assert "hotstack-os-toy-web did not become healthy" in output
    assert "not ready" in output
    assert "still busy" in output
    lab.play()


def lab_toys(**changes: Any) -> list[dict[str, Any]]:
    """Return the definitions of the toys with other values for toy-web."""
    with open(SCENARIO / "vars/toys.yml", encoding="utf-8") as stream:
        toys: list[dict[str, Any]] = yaml.safe_load(stream)["toy_containers"]
    toys[0].update(changes)
    return toys


def test_a_wrong_key_of_a_unit_is_said_at_once(lab: Host) -> None:
    before = lab.started()
    output = lab.play(succeeds=False, toy_containers=lab_toys(unit={"Container": {"Imgae": "x"}}))
    assert "Imgae" in output
    assert lab.started() == before


@pytest.mark.parametrize("what", ["Pid", "ConmonPid"])
def test_a_killed_process_comes_back(lab: Host, what: str) -> None:
    before = lab.started()
    lab.run(f"kill -9 $(podman inspect --format '{{{{.State.{what}}}}}' hotstack-os-toy-store)")
    time.sleep(1)
    lab.wait_until_healthy()
    after = lab.started()
    assert after["toy-store"] != before["toy-store"]
    assert after["toy-web"] == before["toy-web"]


def test_a_service_that_becomes_unhealthy_is_replaced(lab: Host) -> None:
    before = lab.started()
    lab.run("podman exec hotstack-os-toy-web rm /tmp/ready")
    lab.run("for attempt in 1 2 3; do podman healthcheck run hotstack-os-toy-web; done")
    lab.wait_until_healthy()
    after = lab.started()
    assert after["toy-web"] != before["toy-web"]
    assert after["toy-store"] == before["toy-store"]


def test_the_target_stops_and_starts_everything(lab: Host) -> None:
    lab.run("systemctl stop hotstack-os.target 'hotstack-os-*.service'")
    assert lab.run("podman ps --quiet") == ""
    lab.run("systemctl start hotstack-os.target")
    assert lab.healthy()
    assert lab.run("systemctl is-active hotstack-os.target") == "active"


def test_the_target_waits_for_a_service_that_fails_at_first(lab: Host) -> None:
    lab.run("systemctl stop hotstack-os.target 'hotstack-os-*.service'")
    lab.run("mv /var/lib/hotstack-os/runtime/config/toy-web /var/lib/hotstack-os/runtime/aside")
    lab.run("systemctl start --no-block hotstack-os.target")
    time.sleep(8)
    assert lab.run("systemctl is-active hotstack-os.target") != "active"
    lab.run("rm -rf /var/lib/hotstack-os/runtime/config/toy-web")
    lab.run("mv /var/lib/hotstack-os/runtime/aside /var/lib/hotstack-os/runtime/config/toy-web")
    lab.wait_until_healthy()
    assert lab.run("systemctl is-active hotstack-os.target") == "active"


def test_the_journal_has_each_line_once(lab: Host) -> None:
    lab.run("systemctl restart hotstack-os-toy-store")
    invocation = lab.show("toy-store", "InvocationID")
    lines = lab.run(f"journalctl --output cat _SYSTEMD_INVOCATION_ID={invocation}").splitlines()
    assert len([line for line in lines if line == "100% of toy-store"]) == 1


def test_secrets_are_in_the_configuration_only(lab: Host) -> None:
    config = "/var/lib/hotstack-os/runtime/config/toy-web/web.sh"
    assert SECRET in lab.run(f"cat {config}")
    assert lab.run(f"stat --format '%a %u %g' {config}") == "640 0 42499"
    said_by_the_toy = "the password is " + SECRET
    seen = lab.run("podman inspect hotstack-os-toy-web; systemctl cat 'hotstack-os-*'; journalctl --boot")
    assert SECRET not in seen.replace(said_by_the_toy, "")


def test_not_root_and_without_rights(lab: Host) -> None:
    status = lab.run("cat /proc/$(podman inspect --format '{{.State.Pid}}' hotstack-os-toy-web)/status")
    values = dict(line.split(":", 1) for line in status.splitlines())
    assert values["Uid"].split() == ["42499"] * 4
    assert int(values["CapEff"], 16) == 0
    assert values["NoNewPrivs"].strip() == "1"


def test_absent_removes_all_but_data(lab: Host) -> None:
    lab.play(toy_state="absent", toy_absent=[{"name": "toy-web"}])
    assert not lab.host.file("/etc/containers/systemd/hotstack-os-toy-web.container").exists
    assert lab.run("podman ps --quiet --filter name=hotstack-os-toy-store") != ""
    lab.play("--check", toy_state="absent", toy_absent=None)
    assert lab.run("podman ps --quiet --filter name=hotstack-os-toy-store") != ""
    lab.play(toy_state="absent", toy_absent=None)
    for folder in ("/etc/containers/systemd", f"{RUNTIME}/config", f"{RUNTIME}/stamps"):
        assert "toy" not in lab.run(f"ls {folder}")
    assert lab.run("systemctl list-units --all --no-legend 'hotstack-os-toy-*'") == ""
    assert lab.host.file("/var/lib/hotstack-os/toy/step").exists
    assert "changed=0" in lab.play(toy_state="absent", toy_absent=None)
    lab.play()
