# SPDX-License-Identifier: Apache-2.0
"""The module around the program: what it is told, how it is started, and what of it is written and reported."""

from __future__ import annotations

import importlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import cloud_program, cloud_secrets
from ansible_collections.hotstack.os.plugins.module_utils.cloud_plan import CloudError
from ansible_collections.hotstack.os.plugins.module_utils.cloud_program import CloudProgramError
from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError
from ansible_collections.hotstack.os.plugins.modules import cloud_resources

KEY = "ssh-ed25519 AAAAC3Nza someone@here"

# Runs the program of the mounted folder with this Python, where the fake cloud stands for the client.
PODMAN = """#!/bin/sh
echo "$@" >>{state}/calls
case $1 in
image)
    if [ -e {state}/locked ]; then echo "no such lock" >&2; exit 125; fi
    test -e {state}/image;;
run)
    for word in "$@"; do case $word in --volume=*:/opt/hotstack-os:ro) folder=${{word#--volume=}};; esac; done
    if [ -e {state}/broken ]; then echo "no such cgroup" >&2; exit 126; fi
    PYTHONPATH=${{folder%%:*}}:{state}:{fakes} exec {python} -m program.cloud_work;;
esac
"""

# What the connection answers outlives the process in a file.
OPENSTACK = """
import atexit, os, pickle
from fake_cloud import FakeCloud
PATH = os.path.join(os.path.dirname(__file__), "cloud.pickle")
def connect(name, **options):
    store = pickle.load(open(PATH, "rb")) if os.path.exists(PATH) else None
    cloud = FakeCloud(store, store.find("project", "admin").id if store else "")
    atexit.register(lambda: pickle.dump(cloud.store, open(PATH, "wb")))
    return cloud
"""


class Host:
    """A host with a podman of ours, and the parameters of the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "image").touch()
        (folder / "openstack.py").write_text(OPENSTACK)
        text = PODMAN.format(state=folder, python=sys.executable, fakes=Path(__file__).parent)
        (folder / "bin/podman").write_text(text)
        (folder / "bin/podman").chmod(0o755)
        (folder / "credentials.json").write_text(json.dumps({"hotstack_password": "aSecretOfTheUser"}))
        (folder / "key.pub").write_text(KEY + "\n")
        (folder / "cirros.img").write_bytes(b"QFI\xfb")

    def parameters(self, **values: Any) -> dict[str, Any]:
        nothing: dict[str, Any] = {
            name: [] for name in ("flavors", "networks", "routers", "rules", "reserved_networks")
        }
        return {
            "cloud": "admin",
            "runtime_image": "localhost/openstack:1",
            "credentials_file": str(self.folder / "credentials.json"),
            "project": {"name": "hotstack", "description": ""},
            "user": {"name": "hotstack", "password_credential": "hotstack_password", "roles": ["member"]},
            "quotas": {},
            **nothing,
            "keypair": {"name": "hotstack", "public_key_file": str(self.folder / "key.pub")},
            "application_credential": {
                "name": "hotstack-cred",
                "description": "",
                "file": str(self.folder / "etc/cloud-secret.yaml"),
                "users": [],
                "auth_url": "http://keystone:5000/v3",
                "region": "RegionOne",
                "reissue": False,
            },
            "images": [self.image()],
            "files": {},
            "refresh": False,
            "prune": True,
            "cache": str(self.folder / "cache"),
            "store": str(self.folder),
            **values,
        }

    def image(self, **values: Any) -> dict[str, Any]:
        line = {"name": "cirros", "url": "", "file": str(self.folder / "cirros.img"), "checksum": ""}
        return {**line, "disk_format": "qcow2", "visibility": "public", "properties": {}, **values}

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # Only root may use the image.
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Host(tmp_path)


def test_first_and_second_run(host: Host) -> None:
    foreseen = cloud_resources.run(host.parameters(), True)
    assert not (host.folder / "etc").exists()
    first = cloud_resources.run(host.parameters(), False)
    secret_file = host.folder / "etc/cloud-secret.yaml"
    assert first["steps"] == [*foreseen["steps"], f"write {secret_file}"]
    assert first["steps"][0] == "create project hotstack"
    assert "keypair hotstack\n  name: hotstack\n" in first["diff"]["after"]
    assert first["lacking"] == ["cirros"]
    known = cloud_secrets.known_credential(secret_file.read_text())
    assert known is not None
    assert known["secret"] == "told-once"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    second = cloud_resources.run(host.parameters(), False)
    assert (second["changed"], second["steps"], second["warnings"]) == (False, [], [])


def test_upload(host: Host) -> None:
    lacking = cloud_resources.run(host.parameters(), False)["lacking"]
    sha512 = subprocess.run(["sha512sum", host.image()["file"]], check=True, stdout=-1, text=True).stdout.split()[0]
    files = {name: {"path": host.image()["file"], "sha512": sha512} for name in lacking}
    nothing: dict[str, Any] = {"project": None, "user": None, "keypair": None, "application_credential": None}
    result = cloud_resources.run(host.parameters(files=files, **nothing), False)
    assert result["steps"] == ["create image cirros"]
    assert f"--volume={host.image()['file']}:{host.image()['file']}:ro" in host.calls()[-1]
    assert cloud_resources.run(host.parameters(), False)["lacking"] == []
    (host.folder / "cirros.img").write_bytes(b"QFI\xfbnew")
    assert cloud_resources.run(host.parameters(), False)["lacking"] == ["cirros"]


def test_no_secret_in_arguments_or_results(host: Host) -> None:
    result = cloud_resources.run(host.parameters(), False)
    secrets = ("aSecretOfTheUser", "told-once")
    shown = "\n".join(host.calls()) + json.dumps(result)
    assert [secret for secret in secrets if secret in shown] == []


def test_no_space_for_an_image(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1))
    files = {"cirros": {"path": host.image()["file"], "sha512": "1"}}
    result = cloud_resources.run(host.parameters(files=files), False)
    assert result["failures"] == {"cirros": f"it needs 1 MiB in {host.folder}, where only 1 MiB are free"}


def test_bad_values_are_all_reported_before_anything(host: Host) -> None:
    with pytest.raises(CloudError, match=r"nothing was changed\.\n- There is no quota 'core'; did you mean cores"):
        cloud_resources.run(host.parameters(quotas={"core": 1}), False)
    assert not (host.folder / "calls").exists()


def test_an_error_of_the_cloud_keeps_the_secret_that_was_issued(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"error": "no image service", "steps": [], "credential": {"id": "1", "secret": "new"}}
    monkeypatch.setattr(cloud_resources, "run_program", lambda *_arguments: told)
    result = cloud_resources.run(host.parameters(), False)
    assert (result["failed"], result["msg"]) == (True, "no image service")
    assert "new" in (host.folder / "etc/cloud-secret.yaml").read_text()


def test_flavors_without_a_host_are_a_warning_when_they_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"verb": "create", "kind": "flavor", "name": "huge", "before": {}, "after": {}}
    told: dict[str, Any] = {"steps": [step], "too_large": ["huge (12 vCPUs)"]}
    monkeypatch.setattr(cloud_resources, "run_program", lambda *_arguments: told)
    assert cloud_resources.run(host.parameters(), False)["warnings"] == [
        "No host is large enough for the flavors huge (12 vCPUs)."
    ]
    told["steps"] = []
    assert cloud_resources.run(host.parameters(), False)["warnings"] == []


def test_what_goes_and_what_has_to_stay(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"verb": "remove", "kind": "image", "name": "old", "before": {"id": "1"}, "after": {}}
    told: dict[str, Any] = {"steps": [step], "kept": ["flavor big", "image older"]}
    monkeypatch.setattr(cloud_resources, "run_program", lambda *_arguments: told)
    result = cloud_resources.run(host.parameters(application_credential=None), True)
    assert result["steps"] == ["remove image old"]
    assert result["diff"] == {"before": "image old\n  id: 1\n", "after": ""}
    assert result["warnings"] == [
        "Not described any more, but kept, as they are in use or protected: flavor big, image older."
    ]


# --- what is missing on the host


def test_before_there_is_a_cloud(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "image").unlink()
    foreseen = cloud_resources.run(host.parameters(), True)
    assert (foreseen["changed"], foreseen["lacking"]) == (True, ["cirros"])
    with pytest.raises(CloudProgramError, match=r"localhost/openstack:1: run hotstack\.os\.images first"):
        cloud_resources.run(host.parameters(), False)
    monkeypatch.setenv("PATH", str(host.folder))
    assert cloud_resources.run(host.parameters(), True)["changed"] is True


def test_a_podman_that_does_not_work(host: Host) -> None:
    (host.folder / "locked").touch()
    with pytest.raises(CloudProgramError, match="podman can't look for images: no such lock"):
        cloud_resources.run(host.parameters(), False)


def test_a_container_that_does_not_start(host: Host) -> None:
    (host.folder / "broken").touch()
    with pytest.raises(CloudError, match="podman could not run the client: no such cgroup"):
        cloud_resources.run(host.parameters(), False)


def test_a_python_that_has_the_client(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_program, "has_client", lambda: True)
    # It has not really, or knows no such cloud.
    assert cloud_resources.run(host.parameters(), False)["failed"] is True
    assert not (host.folder / "calls").exists()


def test_a_folder_called_openstack_is_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openstack").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not cloud_program.has_client()
    (tmp_path / "openstack/__init__.py").touch()
    importlib.invalidate_caches()
    assert cloud_program.has_client()


def test_the_cloud_of_this_host_is_asked_by_no_proxy(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    command, _added = cloud_program.command(str(host.folder), "image", "cloud_work")
    assert "--http-proxy=false" in command
    monkeypatch.setattr(cloud_program, "has_client", lambda: True)
    command, added = cloud_program.command(str(host.folder), "image", "cloud_work")
    environment = {"http_proxy": "http://127.0.0.1:9", "PATH": os.environ["PATH"], **added}
    code = "import urllib.request as r; print(bool(r.proxy_bypass('keystone.hotstack-os.local')))"
    done = subprocess.run([command[0], "-c", code], check=True, stdout=-1, text=True, env=environment)
    assert done.stdout == "True\n"


def test_without_its_password(host: Host) -> None:
    (host.folder / "credentials.json").write_text("{}")
    with pytest.raises(CredentialsError, match="no credential 'hotstack_password'"):
        cloud_resources.run(host.parameters(), False)


# --- the public key


def key_of(path: Path | str) -> tuple[dict[str, str] | None, list[str]]:
    warnings: list[str] = []
    return cloud_resources.keypair({"name": "hotstack", "public_key_file": str(path)}, warnings), warnings


def test_the_key_of_who_runs_it(host: Host) -> None:
    (host.folder / "home/.ssh").mkdir(parents=True)
    found, warnings = key_of("")
    assert found is None
    assert "There is no keypair 'hotstack', for there is no " in warnings[0]
    (host.folder / "home/.ssh/id_rsa.pub").write_text("ssh-rsa AAAA")
    assert key_of("") == ({"name": "hotstack", "public_key": "ssh-rsa AAAA"}, [])
    (host.folder / "home/.ssh/id_ed25519.pub").write_text(KEY)
    assert key_of("") == ({"name": "hotstack", "public_key": KEY}, [])


def test_a_key_that_is_none(host: Host) -> None:
    with pytest.raises(CloudError, match="There is no file /nowhere with a public key on this host"):
        key_of("/nowhere")
    (host.folder / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(CloudError, match="private is no OpenSSH public key"):
        key_of(host.folder / "private")


# --- the files of the credential


def test_users_get_the_file_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    home = host.folder / "home"
    home.mkdir()
    user = SimpleNamespace(pw_dir=str(home), pw_uid=os.geteuid(), pw_gid=os.getegid(), pw_name="me")
    monkeypatch.setattr(pwd, "getpwnam", {"me": user}.__getitem__)
    wanted = {**host.parameters()["application_credential"], "users": ["me"]}
    issued = {"id": "1", "secret": "s"}
    own = home / ".config/openstack/cloud-secret.yaml"
    assert cloud_resources.write_secrets(wanted, None, False) == []
    assert cloud_resources.write_secrets(wanted, issued, True) == [wanted["file"], str(own)]
    assert not own.exists()
    assert cloud_resources.write_secrets(wanted, issued, False) == [wanted["file"], str(own)]
    assert own.read_text() == Path(wanted["file"]).read_text()
    assert cloud_resources.write_secrets(wanted, None, False) == []
    # A mode that is too open, and another region.
    own.chmod(0o644)
    assert cloud_resources.write_secrets(wanted, None, False) == [str(own)]
    assert cloud_resources.write_secrets({**wanted, "region": "Two"}, None, True) == [wanted["file"], str(own)]
    with pytest.raises(CloudError, match="The user nobody-here does not exist on this host"):
        cloud_resources.write_secrets({**wanted, "users": ["nobody-here"]}, None, False)


# --- the module


class EndedError(Exception):
    """The module ended."""


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"changed": True, "warnings": ["careful"]}, None),
        ({"failed": True, "msg": "refused", "warnings": []}, "refused"),
        (CloudError("no image"), "no image"),
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied."),
    ],
)
def test_main(monkeypatch: pytest.MonkeyPatch, result: Any, message: str | None) -> None:
    ended: dict[str, Any] = {}
    warned: list[str] = []

    class Module:
        params: dict[str, Any] = {}  # noqa: RUF012
        check_mode = False
        warn = staticmethod(warned.append)

        def __init__(self, **options: Any) -> None:
            assert options["supports_check_mode"]

        def exit_json(self, **values: Any) -> None:
            ended.update(values)
            raise EndedError

        fail_json = exit_json

    def run(*_arguments: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return dict(result)

    monkeypatch.setattr(cloud_resources, "AnsibleModule", Module)
    monkeypatch.setattr(cloud_resources, "run", run)
    with pytest.raises(EndedError):
        cloud_resources.main()
    assert ended.get("msg") == message
    assert warned == (["careful"] if message is None else [])
