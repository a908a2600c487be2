# SPDX-License-Identifier: Apache-2.0
"""What is collected, what the first page says, and that no secret gets into the archive."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import diagnosis, diagnosis_archive, status_cloud
from ansible_collections.hotstack.os.plugins.module_utils.diagnosis import Item, Outcome
from ansible_collections.hotstack.os.plugins.module_utils.diagnosis_archive import DiagnosisError
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Line, Report, Row

SECRETS = {"admin_password": "Adm1n/+s3cret", "nova_database_password": "d4tab4se-pw"}
SERVICES: dict[str, Any] = {
    "mariadb-init": {"one_shot": True},
    "mariadb": {"address": 3, "needs": ["mariadb-init"]},
    "keystone": {"address": 11, "needs": ["mariadb"]},
}
BROKEN = Report(
    [Row("mariadb", "inactive", "", None, 0, "", "", None, "172.31.0.3")],
    [
        Line("services", "mariadb", "inactive", "it was stopped", "systemctl start hotstack-os-mariadb"),
        Line("services", "keystone", "activating", "it needs mariadb", "x", follows="mariadb"),
    ],
)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a deployment in a folder."""
    config = tmp_path / "data/runtime/config/keystone"
    config.mkdir(parents=True)
    (config / "keystone.conf").write_text(f"connection = mysql://u:{quote(SECRETS['admin_password'], safe='')}@h/k\n")
    (tmp_path / "data/credentials.json").write_text(json.dumps(SECRETS))
    (tmp_path / "data/keystone/fernet-keys").mkdir(parents=True)
    (tmp_path / "data/keystone/fernet-keys/0").write_text("fernet-key-text\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "me.yaml").write_text('secret: "of-a-program"\n')
    (tmp_path / "created.json").write_text(json.dumps({"client_files": {str(tmp_path / "me.yaml"): None}}))
    (tmp_path / "etc/clouds.yaml").write_text('clouds:\n  a:\n    auth: \n      password: "of-a-user"\n')
    return {
        "hotstack_os_auth_url": "http://keystone/v3",
        "hotstack_os_config_dir": str(tmp_path / "data/runtime/config"),
        "hotstack_os_credentials_file": str(tmp_path / "data/credentials.json"),
        "hotstack_os_data_dir": str(tmp_path / "data"),
        "hotstack_os_host_name": "node",
        "hotstack_os_integration_bridge": "hot-int",
        "hotstack_os_network_name": "hotstack-os",
        "hotstack_os_record_file": str(tmp_path / "created.json"),
        "hotstack_os_release": "2025.2",
        "hotstack_os_services": SERVICES,
        "hotstack_os_user": "nobody",
        "clouds_file": str(tmp_path / "etc/clouds.yaml"),
    }


def known_secrets() -> list[str]:
    return [*SECRETS.values(), "fernet-key-text", "of-a-user", "of-a-program"]


def talkative(item: Item, _seconds: float) -> tuple[str, str]:
    """Stand for a command that prints every secret in every form, or that fails."""
    if item.command[-1] == "--name":
        return "notapet-1\n", ""
    if item.command[0] == "podman":
        return "", f"it ended with status 125: {SECRETS['admin_password']}"
    lines = [*known_secrets(), *(quote(secret, safe="") for secret in known_secrets())]
    lines += [
        base64.b64encode(f"{user}:{secret}".encode()).decode() for secret in known_secrets() for user in ("a", "ab")
    ]
    return "\n".join(lines), ""


def contents(path: str) -> dict[str, str]:
    with tarfile.open(path) as tar:
        texts = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file
            assert member.mode == 0o600
            texts[member.name.partition("/")[2]] = file.read().decode()
    return texts


def test_archive(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the commands fail, the others tell every secret."""
    monkeypatch.setattr(diagnosis_archive, "run", talkative)

    def refuse(*_arguments: Any) -> None:
        raise status_cloud.CloudError("status 503")

    monkeypatch.setattr(status_cloud, "Session", refuse)
    path = diagnosis_archive.Diagnosis(settings, BROKEN, 5).write(str(tmp_path))
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.part")) == []
    texts = contents(path)
    everything = "\n".join(texts.values())
    for secret in known_secrets():
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]):
            assert form not in everything
    assert texts["config/keystone/keystone.conf"] == "connection = mysql://u:***admin_password***@h/k\n"
    assert "***nova_database_password***" in texts["journal/mariadb.log"]
    assert texts["libvirt/notapet-1.xml"]
    page = texts[diagnosis.FIRST_PAGE]
    assert "1. mariadb (inactive): it was stopped.\n   It is why these are not well: keystone." in page
    assert "podman/containers.txt it ended with status 125: ***admin_password***" in " ".join(page.split())
    assert "openstack the APIs give nothing: status 503" in " ".join(page.split())
    assert json.loads(texts["status.json"])["well"] is False


def test_apis(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def __init__(self, *_arguments: Any) -> None:
            pass

        def get(self, service: str, path: str) -> dict[str, Any]:
            if service == "volumev3":
                raise status_cloud.CloudError("status 500")
            return {"path": path}

    monkeypatch.setattr(status_cloud, "Session", Session)
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
        archive = diagnosis_archive.Archive(tar, "x", str)
        diagnosis_archive.Diagnosis(settings, BROKEN, 5).ask_apis(archive)
    found = {outcome.name: outcome for outcome in archive.outcomes}
    assert found["openstack/servers.json"].size > 10
    assert found["openstack/volumes.json"] == Outcome("openstack/volumes.json", 0, "status 500")


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_without_credentials_nobody_can_tell(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """All that a service says or is configured with stays out, for it may have a secret that looks like none."""
    path = Path(settings["hotstack_os_credentials_file"])
    path.unlink()
    if text is not None:
        path.write_text(text)
    asked: list[str] = []

    def services_tell(item: Item, _seconds: float) -> tuple[str, str]:
        program = item.command[0]
        asked.append(program)
        said = program in ("journalctl", "virsh") or item.command[1:2] in (("exec",), ("inspect",))
        outside = item.name.startswith(("ovn/", "versions/"))
        return f"{SECRETS['admin_password'] if said and not outside else 'fernet-key-text'} password=x1y2", ""

    monkeypatch.setattr(diagnosis_archive, "run", services_tell)
    monkeypatch.setattr(status_cloud, "Session", lambda *_: pytest.fail("it must not be asked"))
    told = Line("services", "mariadb", "failed", f"it says: {SECRETS['admin_password']}", "journalctl -u mariadb")
    report = Report([], [told, Line("host", "disk /", "0 GiB free", "it is nearly full", "du /")])
    texts = contents(diagnosis_archive.Diagnosis(settings, report, 5).write(str(tmp_path)))
    everything = "\n".join(texts.values())
    assert not [secret for secret in (*known_secrets(), "x1y2") if secret in everything]
    assert "journalctl" not in asked
    folders = {name.partition("/")[0] for name in texts}
    assert folders == {
        *("0-README.txt", "status.json", "host", "versions", "network", "firewall", "ovs", "ovn", "systemd", "podman")
    }
    assert "host/created.json" not in texts
    page = " ".join(texts[diagnosis.FIRST_PAGE].split())
    assert "1. disk / (0 GiB free): it is nearly full." in page
    assert "2. mariadb (failed): `hotstack-os status` on the host says why. These need it: keystone. Next: jou" in page
    assert page.startswith(f"{path} can't be read: ")
    assert "So nobody can tell what is secret, and this was left out: configuration," in page


def test_no_room(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis_archive, "run", talkative)
    work = diagnosis_archive.Diagnosis({**settings, "hotstack_os_user": "who-is-that"}, BROKEN, 5)
    assert work.uid == -1
    with pytest.raises(DiagnosisError, match="takes no archive: No such file"):
        work.write(str(tmp_path / "missing"))

    def full(_archive: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work, "fill", full)
    with pytest.raises(DiagnosisError, match="can't be written: No space left"):
        work.write(str(tmp_path))
    assert list(tmp_path.glob("hotstack-os-*")) == []


@pytest.mark.parametrize(
    ("item", "text", "remark"),
    [
        (Item("a", command=("echo", "yes")), "yes\n", ""),
        (Item("a", command=("sh", "-c", "echo no >&2; exit 3")), "\n--- errors\nno\n", "it ended with status 3: no"),
        (Item("a", command=("sh", "-c", "echo some; sleep 9")), "some\n", "it did not end within 0 s"),
        (Item("a", command=("/nowhere",)), "", "/nowhere: No such file or directory"),
        (
            Item("a", command=("head", "-c", "3000", "/dev/zero"), limit=1000),
            "\0" * 1000,
            "the first 1 KiB were left out",
        ),
    ],
)
def test_commands(item: Item, text: str, remark: str) -> None:
    began = time.monotonic()
    assert diagnosis_archive.run(item, 0.4 if "sleep" in item.command[-1] else 5) == (text, remark)
    assert time.monotonic() - began < 5


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text \xff")
    assert diagnosis_archive.read(Item("a", path=str(tmp_path / "a"))) == ("text \ufffd", "")
    assert diagnosis_archive.read(Item("a", path=str(tmp_path / "b"))) == ("", "No such file or directory")
    assert diagnosis_archive.files_below(str(tmp_path / "a")) == [str(tmp_path / "a")]


def test_every_service_is_collected(settings: dict[str, Any]) -> None:
    items = diagnosis.items(settings, 990, [f"{settings['hotstack_os_config_dir']}/keystone/keystone.conf"])
    names = [item.name for item in items]
    assert len(set(names)) == len(names)
    assert all(bool(item.command) != bool(item.path) for item in items)
    assert {f"journal/{name}.log" for name in SERVICES} <= set(names)
    assert "config/keystone/keystone.conf" in names
    for folder in ("host", "versions", "network", "firewall", "ovs", "ovn", "systemd", "podman", "libvirt"):
        assert any(name.startswith(f"{folder}/") for name in names), folder
    assert not [item for item in items if settings["hotstack_os_credentials_file"] in (item.path, *item.command)]


def test_podman_hangs(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that asks it comes last, and ends with the time for all."""
    monkeypatch.setattr(diagnosis_archive, "TOTAL", 1.5)
    asked: list[tuple[str, float]] = []

    def hang(item: Item, seconds: float) -> tuple[str, str]:
        asked.append((item.command[0], seconds))
        if item.command[0] == "podman":
            time.sleep(seconds)
            return "", f"it did not end within {seconds:.0f} s"
        return "", ""

    monkeypatch.setattr(diagnosis_archive, "run", hang)
    began = time.monotonic()
    texts = contents(diagnosis_archive.Diagnosis(settings, BROKEN, 5).write(str(tmp_path)))
    assert time.monotonic() - began < 5
    assert all(0 < seconds <= 1.5 for _program, seconds in asked)
    first = [program for program, _seconds in asked].index("podman")
    collected = [item for item in diagnosis.items(settings, 0, []) if item.command and item.command[0] != "podman"]
    assert first >= len(collected) - diagnosis_archive.WORKERS
    assert "services/tables.txt no time was left for it" in " ".join(texts[diagnosis.FIRST_PAGE].split())


def test_version_is_that_of_the_collection() -> None:
    galaxy = Path(__file__).resolve().parents[4] / "galaxy.yml"
    assert f"\nversion: {diagnosis.VERSION}\n" in galaxy.read_text()


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a/b.txt", "a/b.txt"), ("/../a b/*", "a_b/_"), ("..", "_"), ("libvirt/x;y.xml", "libvirt/x_y.xml")],
)
def test_names_in_the_archive(name: str, safe: str) -> None:
    assert diagnosis.member(name) == safe


def test_first_page(settings: dict[str, Any]) -> None:
    outcomes = [
        Outcome("journal/a.log", 2048),
        Outcome("ovs/show.txt", 0, "it did not end within 5 s"),
        Outcome("x", 9),
    ]
    page = diagnosis.first_page(settings, BROKEN, outcomes, {"mariadb": "no space\nbye"}, 0.0)
    assert page.startswith("OpenStack 2025.2 on node, 1970-01-01 00:00:00 UTC\nby hotstack.os ")
    assert "   These need it: keystone.\n   Next: systemctl start hotstack-os-mariadb\n" in page
    assert "   It said last:\n   | no space\n   | bye\n" in page
    assert "ovs/show.txt  it did not end within 5 s\n" in page
    assert "journal/  1 files  2 KiB\n" in page


def test_first_page_of_a_good_state(settings: dict[str, Any]) -> None:
    page = diagnosis.first_page(settings, Report(), [], {}, 0.0)
    assert "All that `hotstack-os status` looks at is well." in page
    assert "WHAT IS MISSING OR CUT\n\nNothing." in page


def test_before_a_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one would refuse comes first; nothing that only a deployment has is asked for."""
    monkeypatch.setattr(diagnosis_archive, "run", lambda item, _seconds: (f"{item.name} password=x1y2", ""))
    work = diagnosis_archive.Before(["Podman: found 4.9; needed 5.0 or newer. Update podman."], 5)
    texts = contents(work.write(str(tmp_path)))
    page = texts[diagnosis.FIRST_PAGE]
    assert "WHAT A DEPLOYMENT WOULD REFUSE\n\nPodman: found 4.9; needed 5.0 or newer. Update podman.\n" in page
    assert "x1y2" not in "".join(texts.values())
    names = [item.name for item in diagnosis.before()]
    assert len(set(names)) == len(names)
    assert {"host/services.txt", "host/module-openvswitch.txt", "network/resolver.txt", "versions/podman.txt"} <= set(
        names
    )
    assert not [
        item for item in diagnosis.before() if "exec" in item.command or "hotstack" in f"{item.command}{item.path}"
    ]
