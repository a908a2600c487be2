# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.module_utils.clouds import CloudsError
from ansible_collections.hotstack.os.plugins.modules import clouds_file


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "credentials.json").write_text('{"admin_password": "secret"}')
    cloud = {
        "name": "hotstack-os-admin",
        "auth_url": "http://keystone:5000/v3",
        "username": "admin",
        "password_credential": "admin_password",
        "project_name": "admin",
        "region_name": "RegionOne",
    }
    return {
        "path": str(tmp_path / "etc/openstack/clouds.yaml"),
        "owner": None,
        "credentials_file": str(tmp_path / "credentials.json"),
        "part": "",
        "clouds": [cloud],
    }


def test_run(params: dict[str, Any]) -> None:
    path = Path(params["path"])
    assert clouds_file.run(params, check_mode=True)["changed"]
    assert not path.exists()
    result = clouds_file.run(params, check_mode=False)
    assert result["changed"]
    assert "secret" not in str(result)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    auth = yaml.safe_load(path.read_text())["clouds"]["hotstack-os-admin"]["auth"]
    assert (auth["password"], auth["project_domain_name"]) == ("secret", "Default")
    assert not clouds_file.run(params, check_mode=False)["changed"]


def test_a_mode_that_is_too_open_is_mended(params: dict[str, Any]) -> None:
    clouds_file.run(params, check_mode=False)
    path = Path(params["path"])
    path.chmod(0o644)
    assert clouds_file.run(params, check_mode=False)["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pwd.struct_passwd:
    """A user with a home; the real one if the tests do not run as root."""
    home = tmp_path / "home"
    home.mkdir()
    uid, gid = (4321, 4321) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(home, uid, gid)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    entry = pwd.struct_passwd(("tester", "x", uid, gid, "", str(home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"tester": entry}[name])
    return entry


def test_a_users_file_belongs_to_the_user(params: dict[str, Any], user: pwd.struct_passwd) -> None:
    params.update(path=None, owner="tester")
    path = Path(clouds_file.run(params, check_mode=False)["path"])
    assert path == Path(user.pw_dir) / ".config/openstack/clouds.yaml"
    assert (path.stat().st_uid, path.stat().st_gid) == (user.pw_uid, user.pw_gid)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not clouds_file.run(params, check_mode=False)["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write where this user may not")
def test_a_link_in_a_home_gives_no_rights(params: dict[str, Any], user: pwd.struct_passwd, tmp_path: Path) -> None:
    target = tmp_path / "root-only"
    target.mkdir(mode=0o700)
    (Path(user.pw_dir) / ".config").symlink_to(target)
    params.update(path=None, owner="tester")
    with pytest.raises(CloudsError, match="Permission denied"):
        clouds_file.run(params, check_mode=False)
    assert os.geteuid() == 0


def test_check_mode_before_the_user_is_there(params: dict[str, Any]) -> None:
    params.update(path=None, owner="nobody-here")
    foreseen = clouds_file.run(params, check_mode=True)
    assert foreseen == {"changed": True, "path": "~nobody-here/.config/openstack/clouds.yaml", "diff": {}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"owner": "nobody-here"}, "The user nobody-here does not exist"),
        ({"path": None}, "Give a path or an owner"),
        ({"path": "/proc/clouds.yaml"}, "/proc/clouds.yaml can't be changed"),
    ],
)
def test_errors_say_what_is_wrong(
    params: dict[str, Any], user: pwd.struct_passwd, change: dict[str, Any], message: str
) -> None:
    params.update(change)
    with pytest.raises(CloudsError, match=message):
        clouds_file.run(params, check_mode=False)
