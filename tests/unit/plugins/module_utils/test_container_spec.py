# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hotstack.os.plugins.module_utils import container_spec as spec

SERVICES: dict[str, dict[str, Any]] = {
    "web": {"address": 9, "needs": ["step"]},
    "step": {"one_shot": True},
    "agent": {},
    "lost": {"needs": ["nowhere"]},
}
IMAGES: dict[str, Any] = {"base": {}, "web": {}}
USERS = {"web": 7}


def definition(**values: Any) -> dict[str, Any]:
    given = {"name": "web", "image": "web", "health": "true", **values}
    given = {key: value for key, value in given.items() if value is not None}
    checked = ArgumentSpecValidator(spec.ARGUMENT_SPEC).validate({"containers": [given]})
    assert not checked.error_messages
    found: dict[str, Any] = checked.validated_parameters["containers"][0]
    return found


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        pytest.param({}, None, id="right"),
        pytest.param({"name": "step", "health": None}, None, id="a right one-shot"),
        pytest.param({"name": "wbe"}, "'wbe' is not on the map hotstack_os_services. Known services: agent", id="name"),
        pytest.param({"image": None}, "image is missing", id="no image"),
        pytest.param({"image": "wbe"}, "image 'wbe' is not one of hotstack_os_images: base, web", id="image"),
        pytest.param({"user": "wbe"}, "user 'wbe' is not one of hotstack_os_users: web", id="user"),
        pytest.param({"health": None}, "health is missing", id="no health"),
        pytest.param({"name": "step"}, "a one-shot ends", id="a one-shot with health"),
        pytest.param({"name": "lost"}, "it needs 'nowhere'", id="need"),
        pytest.param({"name": "agent", "publish": ["1:1"]}, "publish needs the network 'bridge'", id="publish"),
        pytest.param({"start_timeout": 0}, "start_timeout is 0", id="no time to start"),
        pytest.param({"stop_timeout": -1}, "stop_timeout is -1", id="no time to stop"),
        pytest.param({"memory": "lots"}, "memory 'lots' must be", id="memory"),
        pytest.param({"config": [{"src": "a", "dest": "etc/a"}]}, "'etc/a' must be an absolute path", id="relative"),
        pytest.param({"config": [{"src": "a", "dest": "/etc/"}]}, "must be an absolute path of a file", id="folder"),
        pytest.param(
            {"config": [{"src": "a", "dest": "/a", "mode": "u+x"}]}, "mode 'u+x' of /a must be octal", id="mode"
        ),
        pytest.param(
            {"config": [{"src": "a", "dest": "/a/x"}, {"src": "b", "dest": "/b/x"}]},
            "two config files are called 'x'",
            id="the same file twice",
        ),
        pytest.param({"directories": [{"path": "/", "dest": "/a"}]}, "directory path '/' must be", id="the root"),
        pytest.param({"unit": {"Instal": {}}}, "unit section 'Instal' is not one of Unit, Container", id="section"),
        pytest.param({"unit": {"Unit": ["a=b"]}}, "unit section 'Unit' must be a dictionary", id="section of lines"),
    ],
)
def test_problems_of(values: dict[str, Any], problem: str | None) -> None:
    problems = spec.problems_of([definition(**values)], SERVICES, IMAGES, USERS)
    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert problem in problems[0]


def test_a_container_defined_twice() -> None:
    assert spec.problems_of([definition(), definition()], SERVICES, IMAGES, USERS) == [
        "Container 'web' is defined twice."
    ]


def test_a_typo_is_named() -> None:
    checked = ArgumentSpecValidator(spec.ARGUMENT_SPEC).validate({"containers": [{"name": "web", "helth": "true"}]})
    assert "containers.helth" in checked.error_messages[0]


@pytest.mark.parametrize(
    ("line", "asked", "network"),
    [
        ({"address": 3}, None, "bridge"),
        ({"one_shot": True}, None, "bridge"),
        ({}, None, "host"),
        ({"address": 3}, "none", "none"),
    ],
)
def test_network_of(line: dict[str, Any], asked: str | None, network: str) -> None:
    assert spec.network_of({"network": asked}, line) == network


def test_unit_lines() -> None:
    made = definition(unit={"Unit": {"After": ["a", "b"], "Before": "c"}})
    assert spec.unit_lines(made, "Unit") == ["After=a", "After=b", "Before=c"]
    assert spec.unit_lines(made, "Service") == []


def test_problems_of_absent() -> None:
    assert spec.problems_of_absent(None) == []
    assert spec.problems_of_absent([{"name": "web"}]) == []
    assert "'../x'" in spec.problems_of_absent([{"name": "../x"}])[0]
