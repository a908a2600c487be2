# SPDX-License-Identifier: Apache-2.0
"""The controller's half of the engine, with Ansible's own templating and a host that is a dictionary."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.filter.core import FilterModule
from ansible.template import Templar
from jinja2 import Environment

from ansible_collections.hotstack.os.plugins.action import containers
from ansible_collections.hotstack.os.plugins.filter import systemd
from ansible_collections.hotstack.os.plugins.module_utils import apparmor, time_factor

try:
    from ansible.template import trust_as_template
except ImportError:

    def trust_as_template(value: str) -> str:
        return value


SECRET = "p$w/rd%1"
STEP = {"name": "step", "image": "web", "command": ["sh", "-c", "echo $HOME"]}
WEB = {
    "name": "web",
    "image": "web",
    "user": "web",
    "command": ["serve", "it all"],
    "config": [{"src": "web.conf.j2", "dest": "/etc/web/web.conf"}],
    "directories": [{"path": "/data/web", "dest": "/data"}],
    "volumes": ["/dev/log:/dev/log"],
    "tmpfs": ["/cache"],
    "publish": ["172.31.0.129:80:80"],
    "environment": {"MODE": "very quiet", "WORKERS": 2},
    "capabilities": ["NET_ADMIN"],
    "ulimits": ["nofile=10:10"],
    "labels": {"a": "b c"},
    "memory": "512m",
    "health": "test $(cat /ok) = 100%",
    "start_timeout": 60,
    "stop_timeout": 7,
    "unit": {"Service": {"Nice": [5]}},
}
AGENT = {"name": "agent", "image": "web", "privileged": True, "health": "true"}

TEMPLATE = """{% import 'oslo.j2' as oslo with context %}
{% import 'macros.j2' as macros %}
{{ oslo.default(messaging='web') }}
{{ macros.greet(service.port) }} {{ container.name }} {{ web_knob }}

{{ oslo.database('web') }}

{{ oslo.authtoken('web') }}

{{ oslo.cache() }}
{{ oslo.client('service_user', 'web') }}
{{ oslo.notifications() }}
{{ oslo.concurrency('/tmp') }}
"""


def settings() -> dict[str, Any]:
    """Return what roles/settings would bring, some of it still to be templated."""
    return {
        "hotstack_os_data_dir": "/srv",
        "hotstack_os_services": {
            "step": {"one_shot": True},
            "web": {"address": 9, "port": 80, "needs": ["step", "agent"]},
            "agent": {},
            "mariadb": {"port": 3306},
            "rabbitmq": {"port": 5672},
            "memcached": {"port": 11211},
        },
        "hotstack_os_users": {"web": 7},
        "hotstack_os_images": {"web": {}},
        "hotstack_os_image_references": {"web": trust_as_template("localhost/web:{{ 1 + 1 }}")},
        "hotstack_os_config_dir": trust_as_template("{{ hotstack_os_data_dir }}/config"),
        "hotstack_os_stamps_dir": "/srv/stamps",
        "hotstack_os_credentials_file": "/srv/credentials.json",
        "hotstack_os_credentials_given": {},
        "hotstack_os_credentials_renew": [],
        "hotstack_os_credential_names": [
            "web_messaging_password",
            "web_database_password",
            "web_service_password",
            "memcache_secret_key",
        ],
        "hotstack_os_addresses": {"web": "10.0.0.9", "mariadb": "10.0.0.3", "rabbitmq": "10.0.0.4", "memcached": "m"},
        "hotstack_os_public_urls": {"keystone": "http://keystone:5000"},
        "hotstack_os_auth_url": "http://keystone:5000/v3",
        "hotstack_os_network_name": "hotstack-os",
        "hotstack_os_provider_address": "172.31.0.129",
        "hotstack_os_region": "RegionOne",
        "hotstack_os_debug": False,
        "hotstack_os_time_factor": "1",
        "hotstack_os_broken": trust_as_template("{{ nothing_of_the_kind }}"),
        "web_knob": trust_as_template("{{ hotstack_os_region | lower }}"),
    }


class FakeAction(containers.ActionModule):
    """Reads credentials from an attribute and keeps what the module would get."""

    credentials: str = ""
    status = 0
    apparmor = False
    remembered = ""
    sent: dict[str, Any] | None = None

    def _low_level_execute_command(self, cmd: str, **_: Any) -> dict[str, Any]:
        if cmd == apparmor.TEST:
            return {"rc": 0 if self.apparmor else 1, "stdout": "", "stderr": ""}
        if time_factor.FILE in cmd:
            return {"rc": 0, "stdout": self.remembered, "stderr": ""}
        assert "/srv/credentials.json" in cmd
        return {"rc": self.status, "stdout": self.credentials, "stderr": "Permission denied\n"}

    def _execute_module(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["module_name"] == "hotstack.os.containers"
        self.sent = arguments["module_args"]
        return {"changed": True}


@pytest.fixture(autouse=True)
def filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let templates find the filters of this collection, which takes a plugin loader that a test does not have."""
    ours = {f"hotstack.os.{name}": function for name, function in systemd.FilterModule().filters().items()}
    environment = {**Environment(autoescape=True).filters, **FilterModule().filters(), **ours}
    original = Templar.copy_with_new_env

    def with_filters(self: Templar, **options: Any) -> Templar:
        templar = original(self, **options)
        templar.environment.filters = environment
        return templar

    monkeypatch.setattr(Templar, "copy_with_new_env", with_filters)


@pytest.fixture
def role(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/web.conf.j2").write_text(TEMPLATE)
    (tmp_path / "templates/macros.j2").write_text("{% macro greet(port) %}port {{ port }}{% endmacro %}")
    return tmp_path


def act(
    role: Path,
    variables: dict[str, Any] | None = None,
    credentials: str | None = None,
    check_mode: bool = False,
    status: int = 0,
    remembered: str = "",
    **arguments: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the action; return its result and the texts that it sent."""
    variables = settings() if variables is None else variables
    variables["ansible_search_path"] = [str(role)]
    loader = DataLoader()
    loader.set_basedir(str(role))
    task = Task()
    task.args = arguments
    task.check_mode = check_mode
    task.async_val = 0
    task.get_search_path = lambda: [str(role)]
    templar = Templar(loader=loader, variables=variables)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action = FakeAction(task, connection, PlayContext(), loader, templar, None)
    if credentials is None:
        credentials = json.dumps(dict.fromkeys(settings()["hotstack_os_credential_names"], SECRET))
    action.credentials, action.status, action.remembered = credentials, status, remembered
    result = action.run(task_vars=variables)
    return result, json.loads(action.sent["texts"]) if action.sent else {}


def test_units_and_configuration(role: Path) -> None:
    result, texts = act(role, containers=[STEP, WEB, AGENT])
    assert result["changed"]
    assert texts["config_dir"] == "/srv/config"
    assert texts["secrets"] == [SECRET] * 4
    step, web, agent = texts["containers"]

    assert web["image"] == "localhost/web:2"
    assert web["directories"] == [{"path": "/data/web", "mode": 0o750, "uid": 7, "gid": 7}]
    (config,) = web["config"]
    assert (config["path"], config["mode"], config["gid"]) == ("/srv/config/web/web.conf", 0o640, 7)
    for line in (
        "transport_url = rabbit://web:p%24w%2Frd%251@10.0.0.4:5672/",
        "port 80 web regionone",
        "connection = mysql+pymysql://web:p%24w%2Frd%251@10.0.0.3:3306/web?charset=utf8mb4",
        "password = p$$w/rd%1",
        "debug = false",
    ):
        assert line in config["content"].splitlines()

    unit = web["unit"].splitlines()
    for line in (
        "Requires=hotstack-os-step.service",
        "Wants=hotstack-os-agent.service",
        "After=hotstack-os-agent.service",
        "Image=localhost/web:2",
        'Exec=serve "it all"',
        "User=7",
        "IP=10.0.0.9",
        "HostName=web",
        "Volume=/srv/config/web/web.conf:/etc/web/web.conf:ro,z",
        "Volume=/data/web:/data:rw,z",
        "Volume=/dev/log:/dev/log",
        "Tmpfs=/cache",
        "PublishPort=172.31.0.129:80:80",
        'Environment="MODE=very quiet"',
        "Environment=WORKERS=2",
        "DropCapability=all",
        "AddCapability=NET_ADMIN",
        "NoNewPrivileges=true",
        "ReadOnly=true",
        "Pull=never",
        "Ulimit=nofile=10:10",
        'Label="a=b c"',
        "HealthCmd=test $$(cat /ok) = 100%%",
        "Notify=healthy",
        "HealthOnFailure=kill",
        "StartLimitIntervalSec=0",
        "MemoryMax=512M",
        "OOMPolicy=kill",
        "PodmanArgs=--oom-score-adj=700",
        "TimeoutStartSec=60",
        "TimeoutStopSec=22",
        "Nice=5",
        f"Label=hotstack-os.digest={web['digest']}",
    ):
        assert line in unit
    assert not any(SECRET in line for line in unit)

    assert "Type=oneshot" in step["unit"]
    assert step["stamp"] == f"/srv/stamps/step-{step['digest']}"
    assert f"ConditionPathExists=!{step['stamp']}" in step["unit"]
    assert f"rm -f /srv/stamps/step-{'?' * 12}" in step["unit"]
    assert 'Exec=sh -c "echo $$HOME"' in step["unit"]
    assert "Network=host" in agent["unit"]
    assert "PodmanArgs=--privileged" in agent["unit"]
    assert "DropCapability" not in agent["unit"]
    assert "HostName" not in agent["unit"]


def test_the_kernel_kills_essential_containers_later(role: Path) -> None:
    _result, texts = act(role, containers=[{**WEB, "essential": True}])
    assert "PodmanArgs=--oom-score-adj=500" in texts["containers"][0]["unit"].splitlines()


def test_the_profile_of_apparmor_only_where_it_is_enabled(role: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    option = "PodmanArgs=--security-opt=apparmor=hotstack-os"
    _result, without = act(role, containers=[STEP, WEB, AGENT])
    monkeypatch.setattr(FakeAction, "apparmor", True)
    _result, texts = act(role, containers=[STEP, WEB, AGENT])
    step, web, agent = (text["unit"].splitlines() for text in texts["containers"])
    assert (step.count(option), web.count(option), agent.count(option)) == (1, 1, 0)
    assert "NoNewPrivileges=true" in web
    assert [text["digest"] == other["digest"] for text, other in zip(texts["containers"], without["containers"])] == [
        False,
        False,
        True,
    ]
    assert not any("apparmor" in text["unit"] for text in without["containers"])


LIMITS = {
    "HealthStartupInterval": "1s",
    "HealthStartupTimeout": "10s",
    "HealthInterval": "30s",
    "HealthTimeout": "15s",
    "StopTimeout": "7",
    "TimeoutStartSec": "60",
    "TimeoutStopSec": "22",
}


@pytest.mark.parametrize(
    ("setting", "remembered", "factor"),
    [
        pytest.param("auto", "", 1, id="not measured yet"),
        pytest.param("auto", '{"factor": 1, "measured": true}', 1, id="an ordinary machine"),
        pytest.param("auto", '{"factor": 8, "measured": true}', 8, id="a slow machine"),
        pytest.param(3, '{"factor": 8, "measured": true}', 3, id="set"),
    ],
)
def test_time_limits_follow_the_host(role: Path, setting: Any, remembered: str, factor: int) -> None:
    variables = {**settings(), "hotstack_os_time_factor": setting}
    _result, texts = act(role, variables, remembered=remembered, containers=[WEB])
    web = texts["containers"][0]
    unit = dict(line.split("=", 1) for line in web["unit"].splitlines() if "=" in line)
    for key, value in LIMITS.items():
        number = value.rstrip("s")
        assert unit[key] == value.replace(number, str(int(number) * factor))
    assert (texts["time_factor"], web["start_timeout"]) == (factor, 60 * factor)
    assert (f"Environment=HOTSTACK_OS_TIME_FACTOR={factor}" in web["unit"]) == (factor != 1)
    (config,) = web["config"]
    assert ("rpc_response_timeout" in config["content"]) == (factor != 1)
    assert f"\ntimeout = {120 * factor}\n" in config["content"]


def test_a_template_that_roles_share(role: Path) -> None:
    file = {"src": "mount-wrapper.conf.j2", "dest": "/etc/hotstack/mount-wrapper.conf"}
    values = {**settings(), "hotstack_os_volumes_share": "server.local:/volumes", "hotstack_os_volumes_dir": "/volumes"}
    _result, texts = act(role, values, containers=[{**WEB, "config": [file]}])
    [config] = texts["containers"][0]["config"]
    assert config["path"] == "/srv/config/web/mount-wrapper.conf"
    assert config["content"] == (
        "# The share of volumes that mount.nfs makes a bind mount of.\n"
        "NFS_SHARE=server.local:/volumes\nLOCAL_PATH=/volumes\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"hotstack_os_image_references": {"web": "localhost/web:3"}}, id="image"),
        pytest.param({"web_knob": "other"}, id="configuration"),
        pytest.param({"hotstack_os_users": {"web": 8}}, id="user"),
    ],
)
def test_the_digest_follows_what_the_container_is_made_from(role: Path, change: dict[str, Any]) -> None:
    before = act(role, containers=[WEB])[1]["containers"][0]
    same = act(role, containers=[WEB])[1]["containers"][0]
    after = act(role, {**settings(), **change}, containers=[WEB])[1]["containers"][0]
    assert before == same
    assert before["digest"] != after["digest"]


@pytest.mark.parametrize("credentials", ["", '{"web_database_password": "kept"}'])
def test_check_mode_has_placeholders_for_what_is_not_generated_yet(role: Path, credentials: str) -> None:
    texts = act(role, credentials=credentials, check_mode=True, containers=[WEB])[1]
    content = texts["containers"][0]["config"][0]["content"]
    assert "password = <web_service_password>" in content
    assert ("web:kept@" in content) == bool(credentials)


def test_check_mode_foresees_secrets_that_change(role: Path) -> None:
    changes = {
        "hotstack_os_credentials_given": {"web_service_password": "mine"},
        "hotstack_os_credentials_renew": ["web_database_password"],
    }
    variables = {**settings(), **changes}
    texts = act(role, variables, check_mode=True, containers=[WEB])[1]
    content = texts["containers"][0]["config"][0]["content"]
    assert "password = mine" in content
    assert "web:%3Cweb_database_password%3E@" in content
    assert {SECRET, "mine"} <= set(texts["secrets"])
    # The run itself takes what the file has by then.
    texts = act(role, variables, containers=[WEB])[1]
    assert "mine" not in texts["containers"][0]["config"][0]["content"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"containers": [{**WEB, "helth": "x"}]}, "containers.helth", id="a typo in a key"),
        pytest.param({"containers": [{**WEB, "name": "wbe"}]}, "'wbe' is not on the map", id="an unknown service"),
        pytest.param({"containers": [{**WEB, "user": "wbe"}]}, "user 'wbe' is not one of", id="an unknown user"),
        pytest.param({"containers": [{**WEB, "environment": {"A": "x\ny"}}]}, "is one line", id="two lines"),
        pytest.param({}, "which containers should run", id="no containers"),
        pytest.param({"containers": [], "state": "gone"}, "value of state must be one of", id="an unknown state"),
        pytest.param({"containers": [{"name": "../x"}], "state": "absent"}, "is no name", id="a name to remove"),
        pytest.param({"containers": [WEB], "credentials": "{"}, "are no JSON", id="broken credentials"),
        pytest.param({"containers": [WEB], "credentials": ""}, "There is no /srv/cred", id="no credentials"),
        pytest.param({"containers": [WEB], "status": 1}, "Cannot read the credentials in /srv", id="unreadable"),
        pytest.param(
            {"containers": [{**WEB, "config": [{"src": "none.j2", "dest": "/a"}]}]}, "none.j2", id="a missing template"
        ),
    ],
)
def test_mistakes_are_said(role: Path, given: dict[str, Any], message: str) -> None:
    result, texts = act(role, **given)
    assert result["failed"]
    assert message in result["msg"]
    assert SECRET not in result["msg"]
    assert texts == {}


def test_a_role_without_the_settings(role: Path) -> None:
    result, _ = act(role, {}, containers=[WEB])
    assert "must list hotstack.os.settings" in result["msg"]


def test_a_broken_setting_that_the_engine_needs(role: Path) -> None:
    broken = {**settings(), "hotstack_os_users": trust_as_template("{{ nothing_of_the_kind }}")}
    assert "nothing_of_the_kind" in act(role, broken, containers=[WEB])[0]["msg"]


def test_absent_sends_no_texts_and_no_secrets(role: Path) -> None:
    result, texts = act(role, containers=[{"name": "web"}], state="absent")
    assert result["changed"]
    assert texts["containers"] == []
    assert texts["secrets"] == []
    assert texts["config_dir"] == "/srv/config"
