# SPDX-License-Identifier: Apache-2.0
"""The module on a temporary directory, with a host whose systemd and podman are a dictionary."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import container_host as host
from ansible_collections.hotstack.os.plugins.module_utils import container_work as work
from ansible_collections.hotstack.os.plugins.module_utils.container_plan import File
from ansible_collections.hotstack.os.plugins.modules import containers

SECRET = "s3cret/value"


class FakeHost:
    """Starts everything at once, unless told that a service breaks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []
        self.containers: dict[str, str | None] = {}  # what runs, and the digest it was started from
        self.restarts: dict[str, int] = {}  # services that break, and how often they have been restarted
        self.waits_forever: set[str] = set()
        self.images = {"localhost/web:1", "localhost/step:1"}
        self.refused = ""
        self.stopping: dict[str, int] = {}  # services that stop for so many looks before they run again
        self.kept = ""  # why podman removes nothing
        self.deaf = 0  # how often systemd does not answer
        self.deaf_later = False  # whether that begins after it was told to start something

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        self.calls.append(argv)
        answer: tuple[int, str, str] = getattr(self, f"_{os.path.basename(argv[0])}")(argv)
        return answer

    def _units(self, argv: list[str]) -> list[str]:
        return [word[len("hotstack-os-") : -len(".service")] for word in argv if word.endswith(".service")]

    def _systemctl(self, argv: list[str]) -> tuple[int, str, str]:
        verb = argv[1]
        if verb == "show":
            if self.deaf and (not self.deaf_later or any(call[1] == "start" for call in self.calls)):
                self.deaf -= 1
                return 1, "", "Failed to connect to bus\n"
            return 0, "\n".join(self._show(name) for name in self._units(argv)), ""
        for name in self._units(argv) if verb in ("start", "restart") else []:
            self._run(name)
        for name in self._units(argv) if verb == "stop" else []:
            self.containers.pop(name, None)
        return 0, "", ""

    def _show(self, name: str) -> str:
        state = "active" if name in self.containers else "inactive"
        if name in self.restarts:
            self.restarts[name] += 1
            state = "activating"
        job = "7" if name in self.waits_forever else "0"
        if self.stopping.get(name):
            self.stopping[name] -= 1
            state, job = "deactivating", "7"
        loaded = "loaded" if (self.root / f"units/hotstack-os-{name}.container").exists() else "not-found"
        lines = [f"Id=hotstack-os-{name}.service", f"LoadState={loaded}", f"ActiveState={state}", f"Job={job}"]
        return "\n".join([*lines, f"NRestarts={self.restarts.get(name, 0)}", ""])

    def _run(self, name: str) -> None:
        if name in self.restarts or name in self.waits_forever:
            return
        unit = (self.root / f"units/hotstack-os-{name}.container").read_text()
        digest = unit.split("digest=")[1].split()[0]
        if "oneshot" in unit:
            (self.root / "stamps").mkdir(exist_ok=True)
            (self.root / f"stamps/{name}-{digest}").touch()
        else:
            self.containers[name] = digest

    def _podman(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[1] == "ps":
            listing = [
                {"Names": [f"hotstack-os-{name}"], "Labels": {"hotstack-os.digest": digest}}
                for name, digest in self.containers.items()
            ]
            return 0, json.dumps(listing), ""
        if argv[1] == "inspect":
            return 0, json.dumps({"Log": [{"Output": f"refused {SECRET}\n"}]}), ""
        if argv[1] == "rm" and self.kept:
            return 1, "", self.kept
        if argv[1] == "rm":
            for name in argv[2:]:
                self.containers.pop(name.replace("hotstack-os-", ""), None)
        return int(argv[1] == "image" and argv[3] not in self.images), "", ""

    def _journalctl(self, argv: list[str]) -> tuple[int, str, str]:
        return 0, f"starting\nlogin failed with {SECRET}\n", ""

    def _env(self, argv: list[str]) -> tuple[int, str, str]:
        folder = argv[1].split("=")[1]
        names = [name.replace(".container", ".service") for name in os.listdir(folder)]
        return (1, "", self.refused) if self.refused else (0, "\n".join(f"---{name}---" for name in names), "")

    def verbs(self) -> list[str]:
        """Return the calls that change something, shortened."""
        changing = [call[1:] for call in self.calls if call[0] == "systemctl" and call[1] != "show"]
        return [" ".join(call).replace("hotstack-os-", "").replace(".service", "") for call in changing]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    generator = tmp_path / "generator"
    generator.touch(mode=0o755)
    monkeypatch.setattr(host, "GENERATORS", (str(generator),))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(work, "POLL", 0)
    monkeypatch.setattr(work, "STANDSTILL", 0)
    return FakeHost(tmp_path)


def item(root: Path, name: str, digest: str = "d1", content: str = f"password = {SECRET}\n", **values: Any) -> Any:
    step = values.get("stamp")
    return {
        "name": name,
        "unit": f"Label=hotstack-os.digest={digest} {'oneshot' if step else ''}\n",
        "digest": digest,
        "image": f"localhost/{'step' if step else 'web'}:1",
        "config": [
            {
                "path": f"{root}/config/{name}/{name}.conf",
                "content": content,
                "mode": 0o640,
                "uid": os.geteuid(),
                "gid": os.getegid(),
            }
        ],
        "directories": [{"path": f"{root}/data/{name}", "mode": 0o750, "uid": os.geteuid(), "gid": os.getegid()}],
        "start_timeout": 300,
        "stamp": None,
        **values,
    }


def params(root: Path, *items: Any, state: str = "present", names: list[str] | None = None) -> dict[str, Any]:
    texts = {
        "config_dir": f"{root}/config",
        "stamps_dir": f"{root}/stamps",
        "unit_dir": f"{root}/units",
        "needs": {"web": ["step"], "step": ["base"]},
        "containers": list(items),
        "secrets": [SECRET],
        "time_factor": 2,
    }
    return {
        "texts": json.dumps(texts),
        "state": state,
        "containers": None if names is None else [{"name": name} for name in names],
    }


def both(root: Path, digest: str = "d1") -> dict[str, Any]:
    return params(root, item(root, "web", digest), item(root, "step", digest, stamp=f"{root}/stamps/step-{digest}"))


def run(given: dict[str, Any], fake: FakeHost, check_mode: bool = False) -> dict[str, Any]:
    fake.calls.clear()
    return containers.run(given, fake, check_mode=check_mode, diff=True)


def test_a_fresh_host_then_nothing_to_do(tmp_path: Path, fake: FakeHost) -> None:
    first = run(both(tmp_path), fake)
    assert first["changed"]
    assert first["started"] == ["step", "web"]
    assert fake.verbs() == ["daemon-reload", "start --no-block step web"]
    config = tmp_path / "config/web/web.conf"
    assert config.read_text() == f"password = {SECRET}\n"
    assert config.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "data/web").stat().st_mode & 0o777 == 0o750

    second = run(both(tmp_path), fake)
    assert second == {"changed": False, "started": [], "restarted": [], "removed": [], "unchanged": ["step", "web"]}
    assert len(fake.calls) == 2  # one look at systemd, one at podman


def test_check_mode_says_it_and_does_nothing(tmp_path: Path, fake: FakeHost) -> None:
    result = run(both(tmp_path), fake, check_mode=True)
    assert result["changed"]
    assert result["started"] == ["step", "web"]
    assert fake.verbs() == []
    assert not (tmp_path / "units").exists()
    assert SECRET not in json.dumps(result)
    assert "********" in json.dumps(result["diff"])


def test_check_mode_on_a_host_without_podman(tmp_path: Path, fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(host, "GENERATORS", ())
    assert run(both(tmp_path), fake, check_mode=True)["started"] == ["step", "web"]
    assert fake.calls == []


def test_only_what_differs_is_restarted(tmp_path: Path, fake: FakeHost) -> None:
    run(params(tmp_path, item(tmp_path, "web"), item(tmp_path, "other")), fake)
    result = run(params(tmp_path, item(tmp_path, "web", "d2", "a = 1\n"), item(tmp_path, "other")), fake)
    assert result["restarted"] == ["web"]
    assert result["unchanged"] == ["other"]
    assert fake.verbs() == ["daemon-reload", "restart --no-block web"]
    assert SECRET not in json.dumps(result)


def test_a_killed_run_is_mended(tmp_path: Path, fake: FakeHost) -> None:
    run(both(tmp_path), fake)
    fake.containers["web"] = "d0"  # it was written, but what runs is older
    result = run(both(tmp_path), fake)
    assert result["restarted"] == ["web"]
    assert result["diff"] == [{"prepared": "Restarts: web\n"}]


def test_a_changed_secret_shows_neither_old_nor_new(tmp_path: Path, fake: FakeHost) -> None:
    run(params(tmp_path, item(tmp_path, "web", content="password = former\n")), fake)
    result = run(params(tmp_path, item(tmp_path, "web", "d2")), fake)
    shown = json.dumps(result)
    assert "former" not in shown
    assert SECRET not in shown
    assert "a secret in this file differs" in shown


def test_leftovers_go_and_a_lost_mode_comes_back(tmp_path: Path, fake: FakeHost) -> None:
    run(params(tmp_path, item(tmp_path, "web")), fake)
    (tmp_path / "config/web/old.conf").write_text("x")
    (tmp_path / "config/web/.old").mkdir()
    (tmp_path / "config/web/web.conf").chmod(0o600)
    result = run(params(tmp_path, item(tmp_path, "web")), fake)
    assert result["restarted"] == ["web"]
    assert os.listdir(tmp_path / "config/web") == ["web.conf"]
    assert "0600" in json.dumps(result["diff"])


def test_a_service_that_keeps_failing_ends_the_play(tmp_path: Path, fake: FakeHost) -> None:
    fake.restarts["web"] = 0
    with pytest.raises(host.HostError) as raised:
        run(both(tmp_path), fake)
    message = str(raised.value)
    assert "hotstack-os-web did not become healthy after 0 s and 3 restarts" in message
    assert "Its health command said: refused ********" in message
    assert "login failed with ********" in message
    assert "journalctl -u hotstack-os-web" in message


def test_the_need_that_fails_is_named_rather_than_who_waits_for_it(tmp_path: Path, fake: FakeHost) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units/hotstack-os-base.container").touch()
    fake.restarts["base"] = 0
    fake.waits_forever |= {"web", "step"}
    with pytest.raises(host.HostError, match="hotstack-os-base did not become healthy"):
        run(both(tmp_path), fake)


def test_waiting_for_nothing_ends_too(tmp_path: Path, fake: FakeHost) -> None:
    fake.waits_forever.add("web")
    with pytest.raises(host.HostError, match="waits for something that does not start"):
        run(both(tmp_path), fake)


def test_a_service_that_is_long_in_stopping_is_waited_for(tmp_path: Path, fake: FakeHost) -> None:
    run(both(tmp_path), fake)
    fake.stopping["web"] = 5
    result = run(params(tmp_path, item(tmp_path, "web", "d2", "a = 1\n")), fake)
    assert result["restarted"] == ["web"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_systemd_that_does_not_answer_is_not_taken_for_one_without_units(
    tmp_path: Path, fake: FakeHost, state: str
) -> None:
    run(both(tmp_path), fake)
    fake.deaf = 1
    with pytest.raises(host.HostError, match="systemctl cannot show the units: Failed to connect to bus"):
        run(params(tmp_path, item(tmp_path, "web", "d2", "a = 1\n"), state=state), fake)
    assert (tmp_path / "config/web/web.conf").read_text() == f"password = {SECRET}\n"
    assert fake.containers["web"] == "d1"


@pytest.mark.parametrize("looks", [3, 10_000])
def test_a_systemd_that_does_not_answer_for_a_moment_is_asked_again(
    tmp_path: Path, fake: FakeHost, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr(work, "STANDSTILL", 30)
    wait = work.wait
    clock: dict[str, Any] = {"clock": lambda: float(next(seconds)), "sleep": lambda _seconds: None}
    monkeypatch.setattr(work, "wait", lambda *given: wait(*given, **clock))
    fake.deaf, fake.deaf_later = looks, True
    if looks > 60:
        with pytest.raises(host.HostError, match="systemctl cannot show the units"):
            run(both(tmp_path), fake)
    else:
        assert run(both(tmp_path), fake)["started"] == ["step", "web"]


def test_a_missing_image_is_said_before_anything_is_written(tmp_path: Path, fake: FakeHost) -> None:
    fake.images.clear()
    with pytest.raises(host.HostError, match="Image localhost/step:1 of step is not on this host"):
        run(both(tmp_path), fake)
    assert not (tmp_path / "units").exists()


def test_a_unit_that_podman_refuses_is_not_written(tmp_path: Path, fake: FakeHost) -> None:
    fake.refused = "converting hotstack-os-web.container: unsupported key 'Imgae'"
    for check_mode in (True, False):
        with pytest.raises(host.HostError, match="unsupported key 'Imgae'"):
            run(params(tmp_path, item(tmp_path, "web")), fake, check_mode)
    assert not (tmp_path / "units").exists()


def test_absent_one(tmp_path: Path, fake: FakeHost) -> None:
    run(both(tmp_path), fake)
    (tmp_path / "stamps/step-by-step-d1").touch()
    given = params(tmp_path, state="absent", names=["step", "never"])
    checked = run(given, fake, check_mode=True)
    assert (tmp_path / "stamps/step-d1").exists()
    result = run(given, fake)
    assert checked == result
    assert result["removed"] == ["step"]
    assert result["unchanged"] == ["never"]
    assert os.listdir(tmp_path / "stamps") == ["step-by-step-d1"]
    assert os.listdir(tmp_path / "config") == ["web"]
    assert not run(given, fake)["changed"]


def test_absent_all_keeps_data(tmp_path: Path, fake: FakeHost) -> None:
    run(both(tmp_path), fake)
    (tmp_path / "units/foreign.container").touch()
    result = run(params(tmp_path, state="absent"), fake)
    assert result["removed"] == ["step", "web"]
    assert os.listdir(tmp_path / "units") == ["foreign.container"]
    assert os.listdir(tmp_path / "config") == []
    assert sorted(os.listdir(tmp_path / "data")) == ["step", "web"]
    assert fake.containers == {}
    assert not run(params(tmp_path, state="absent"), fake)["changed"]


def test_absent_removes_a_container_that_lost_its_unit(tmp_path: Path, fake: FakeHost) -> None:
    fake.containers["web"] = None
    assert run(params(tmp_path, state="absent", names=["web"]), fake)["removed"] == ["web"]
    assert fake.containers == {}


def test_a_container_that_podman_keeps_is_not_called_removed(tmp_path: Path, fake: FakeHost) -> None:
    fake.containers["web"], fake.kept = None, "device or resource busy\n"
    with pytest.raises(host.HostError, match="podman cannot remove hotstack-os-web: device or resource busy"):
        run(params(tmp_path, state="absent", names=["web"]), fake)


def test_the_module_alone_says_what_is_missing(fake: FakeHost) -> None:
    with pytest.raises(host.HostError, match="action plugin"):
        containers.run({"texts": None}, fake, check_mode=False, diff=False)


def test_a_directory_that_is_a_file(tmp_path: Path, fake: FakeHost) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/web").touch()
    with pytest.raises(host.HostError, match="must be a directory"):
        run(params(tmp_path, item(tmp_path, "web")), fake)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "web.conf").mkdir()
    with pytest.raises(host.HostError, match=r"Cannot write .*web.conf"):
        host.write_file(File(f"{tmp_path}/web.conf", "x", 0o640, os.geteuid(), os.getegid()))
    assert os.listdir(tmp_path) == ["web.conf"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [((1, "", "no such unit\n"), "systemctl start x: no such unit"), ((1, "out", ""), "systemctl start x: out")],
)
def test_systemctl_that_fails(answer: tuple[int, str, str], message: str) -> None:
    with pytest.raises(host.HostError, match=message):
        host.systemctl(lambda argv: answer, "start", "x")


def test_podman_that_fails(fake: FakeHost) -> None:
    with pytest.raises(host.HostError, match="cannot list the containers: broken"):
        host.read_digests(lambda argv: (125, "", "broken\n"))


def test_podman_that_cannot_look_for_images(tmp_path: Path, fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    podman = fake._podman
    monkeypatch.setattr(fake, "_podman", lambda argv: (125, "", "locked\n") if argv[1] == "image" else podman(argv))
    with pytest.raises(host.HostError, match="podman cannot look for images: locked"):
        run(both(tmp_path), fake)


@pytest.mark.parametrize("answer", [(1, "", ""), (0, "noise", ""), (0, "null", ""), (0, '{"Log": null}', "")])
def test_a_container_without_health(answer: tuple[int, str, str]) -> None:
    assert host.last_health(lambda argv: answer, "web") == ""
