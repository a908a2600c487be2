# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_keystone import FakeKeystone, Server

from ansible_collections.hotstack.os.plugins.module_utils import keystone_client
from ansible_collections.hotstack.os.plugins.module_utils.keystone_client import KeystoneError
from ansible_collections.hotstack.os.plugins.modules import keystone_service


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def keystone(server: Server) -> FakeKeystone:
    return server.keystone


@pytest.fixture
def params(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What heat will ask for: the largest registration of all."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    secrets = {"admin_password": "root", "heat_service_password": "one", "heat_domain_admin_password": "two"}
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(secrets))
    return {
        "auth_url": server.url,
        "credentials_file": str(path),
        "user": "admin",
        "password_credential": "admin_password",
        "project": "admin",
        "timeout": 5,
        "region": "RegionOne",
        "domains": [{"name": "heat", "description": "Users of stacks"}],
        "roles": ["heat_stack_owner", "member"],
        "projects": [{"name": "service", "domain": "Default", "description": "Service users"}],
        "users": [
            {
                "name": "heat",
                "domain": "Default",
                "description": "",
                "password_credential": "heat_service_password",
                "grants": [{"role": role, "project": "service", "domain": None} for role in ("admin", "service")],
            },
            {
                "name": "heat_domain_admin",
                "domain": "heat",
                "description": "",
                "password_credential": "heat_domain_admin_password",
                "grants": [{"role": "admin", "project": None, "domain": "heat"}],
            },
        ],
        "services": [
            {
                "name": "heat",
                "type": "orchestration",
                "description": "Stacks",
                "url": "http://heat:8004/v1/$(project_id)s",
            }
        ],
    }


def test_everything_is_created_and_a_second_run_changes_nothing(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    result = keystone_service.run(params, check_mode=False)
    assert result["steps"] == [
        "create region RegionOne",
        "create domain heat",
        "create role heat_stack_owner",
        "create project Default service",
        "create user Default heat",
        "create grant Default heat admin project Default service",
        "create grant Default heat service project Default service",
        "create user heat heat_domain_admin",
        "create grant heat heat_domain_admin admin domain heat",
        "create service orchestration",
        "create endpoint orchestration RegionOne public",
        "create endpoint orchestration RegionOne internal",
        "create endpoint orchestration RegionOne admin",
    ]
    assert keystone.find("users", "heat_domain_admin")["password"] == "two"
    keystone.requests.clear()
    again = keystone_service.run(params, check_mode=False)
    assert (again["changed"], again["steps"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]
    assert [request for request in keystone.requests if not request.startswith("GET")] == ["POST /v3/auth/tokens"] * 3


def change_password(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.find("users", "heat")["password"] = "old"


def disable_user(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.find("users", "heat")["enabled"] = False


def move_endpoint(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    next(iter(keystone.objects["endpoints"].values()))["url"] = "http://elsewhere"


def rename_service(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.find("services", "heat")["name"] = "warm"


def describe_domain(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    params["domains"][0]["description"] = "Another"


def remove_grants(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.grants = {grant for grant in keystone.grants if grant[2] == "project"}


def add_second_service(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.add("services", {"name": "foreign", "type": "orchestration", "description": "", "enabled": True})


@pytest.mark.parametrize(
    ("meddle", "steps"),
    [
        (change_password, ["update user Default heat"]),
        (disable_user, ["update user Default heat"]),
        (move_endpoint, ["update endpoint orchestration RegionOne public"]),
        (rename_service, ["update service orchestration"]),
        (describe_domain, ["update domain heat"]),
        (remove_grants, ["create grant heat heat_domain_admin admin domain heat"]),
        (add_second_service, []),
    ],
)
def test_what_differs_is_mended(keystone: FakeKeystone, params: dict[str, Any], meddle: Any, steps: list[str]) -> None:
    keystone_service.run(params, check_mode=False)
    meddle(keystone, params)
    before = json.dumps(keystone.objects)
    foreseen = keystone_service.run(params, check_mode=True)
    assert json.dumps(keystone.objects) == before
    result = keystone_service.run(params, check_mode=False)
    assert result["steps"] == foreseen["steps"] == steps
    assert (result["diff"]["before"] != result["diff"]["after"]) == bool(steps)
    assert not keystone_service.run(params, check_mode=False)["changed"]
    assert keystone.find("users", "heat")["password"] == "one"


def test_no_password_is_returned(params: dict[str, Any]) -> None:
    text = json.dumps(keystone_service.run(params, check_mode=False))
    assert '"one"' not in text
    assert "password: one" not in text


def test_server_errors_are_borne_for_a_while(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.failures = [503, 502]
    assert keystone_service.run(params, check_mode=False)["changed"]
    keystone.failures = [503] * 10
    params["timeout"] = 0
    with pytest.raises(KeystoneError, match="has no good answer: status 503"):
        keystone_service.run(params, check_mode=False)


def test_a_lost_answer_does_no_harm(keystone: FakeKeystone, params: dict[str, Any]) -> None:
    keystone.lose_next_answer = True
    params["roles"] = []
    keystone_service.run(params, check_mode=False)
    assert not keystone_service.run(params, check_mode=False)["changed"]


def test_check_mode_works_before_there_is_a_keystone(params: dict[str, Any]) -> None:
    params.update(auth_url="http://127.0.0.1:1/v3", credentials_file="/nonexistent/credentials.json")
    result = keystone_service.run(params, check_mode=True)
    assert (len(result["steps"]), result["diff"]["before"]) == (14, "")
    params["password_credential"] = "admin_password"
    with pytest.raises(Exception, match="run the role"):
        keystone_service.run(params, check_mode=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auth_url": "keystone/v3"}, "is not a URL"),
        ({"user": "nobody"}, "Keystone refuses the user nobody"),
        ({"roles": [], "users": "unknown role"}, "There is no role 'cook' for the grant"),
    ],
)
def test_errors_say_what_is_wrong(params: dict[str, Any], change: dict[str, Any], message: str) -> None:
    if change.get("users") == "unknown role":
        params["users"][0]["grants"][0]["role"] = "cook"
        change = {**change, "users": params["users"]}
    params.update(change)
    with pytest.raises(KeystoneError, match=message):
        keystone_service.run(params, check_mode=False)


def test_an_answer_that_is_no_json_is_quoted() -> None:
    assert keystone_client._message(b"<html>Bad") == "<html>Bad"
