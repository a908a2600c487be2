# SPDX-License-Identifier: Apache-2.0
"""What the program does to a cloud."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_cloud import FakeCloud, Refused

from ansible_collections.hotstack.os.plugins.module_utils import cloud_plan, cloud_work

KEY = "ssh-ed25519 AAAAC3Nza someone@here"
CONTENT = b"QFI\xfb and more"
DIGEST = hashlib.sha512(CONTENT).hexdigest()


def image(**values: Any) -> dict[str, Any]:
    return {
        "name": "cirros",
        "disk_format": "qcow2",
        "visibility": "public",
        "properties": {"os_shutdown_timeout": 5},
        "source": "http://images/cirros",
        "checksum": "",
        "sha512": "",
        "path": "",
        "refresh": False,
        **values,
    }


def network(name: str, **values: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shared": True,
        "external": False,
        "physical_network": "",
        "mtu": 9158,
        "subnet": f"{name}-subnet",
        "cidr": "192.168.100.0/24",
        "gateway": "",
        "dhcp": True,
        "dns_servers": ["172.31.0.129"],
        "pools": [],
        **values,
    }


def document(**values: Any) -> dict[str, Any]:
    outside = {"external": True, "physical_network": "provider", "mtu": 9216}
    outside |= {"cidr": "172.31.0.128/25", "dhcp": False}
    return {
        "cloud": "admin",
        "check": False,
        "project": {"name": "hotstack", "description": "Guests"},
        "user": {"name": "hotstack", "password": "secret", "roles": ["member"]},
        "quotas": {"cores": 96, "floating_ips": 20, "volumes": 50},
        "flavors": [{"name": "small", "vcpus": 1, "ram": 2048, "disk": 20}],
        "networks": [
            network("public", **outside, gateway="172.31.0.129", pools=["172.31.0.130 - 172.31.0.200"]),
            network("private"),
        ],
        "routers": [{"name": "router1", "network": "public", "subnets": ["private-subnet"]}],
        "rules": [{"protocol": "icmp", "port": None}, {"protocol": "tcp", "port": 22}],
        "keypair": {"name": "hotstack", "public_key": KEY},
        "credential": {"name": "hotstack-cred", "description": "", "known_id": "", "reissue": False},
        "images": [image()],
        "prune": True,
        **values,
    }


class Run:
    """A cloud and what was done to it."""

    def __init__(self) -> None:
        self.cloud = FakeCloud()
        self.store = self.cloud.store

    def __call__(self, **values: Any) -> dict[str, Any]:
        self.store.calls.clear()
        told = json.loads(json.dumps(document(**values)))
        return cloud_work.work(told, lambda _name: self.cloud)

    def steps(self, **values: Any) -> list[str]:
        result = self(**values)
        assert "error" not in result, result["error"]
        return [f"{step['verb']} {step['kind']} {step['name']}" for step in result["steps"]]

    def known(self) -> dict[str, Any]:
        """Return the description of the credential once it is known."""
        known_id = self.store.kinds["application_credential"][0].id
        return {"name": "hotstack-cred", "description": "", "known_id": known_id, "reissue": False}


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def settled(run: Run, tmp_path: Path) -> Run:
    """Return a cloud in which everything is there, the content of the image included."""
    (tmp_path / "cirros").write_bytes(CONTENT)
    result = run(images=[image(path=str(tmp_path / "cirros"), sha512=DIGEST)])
    assert "error" not in result
    return run


EVERYTHING = [
    "create project hotstack",
    "create user hotstack",
    "create role member of the user hotstack on the project hotstack",
    "update compute quota hotstack",
    "update network quota hotstack",
    "update block_storage quota hotstack",
    "create flavor small",
    "create network public",
    "create subnet public-subnet",
    "create network private",
    "create subnet private-subnet",
    "create router router1",
    "create router interface router1 in private-subnet",
    "create security group rule icmp in default of the project admin",
    "create security group rule tcp 22 in default of the project admin",
    "create security group rule icmp in default of the project hotstack",
    "create security group rule tcp 22 in default of the project hotstack",
    "create keypair hotstack",
    "create application credential hotstack-cred",
]


def test_everything_is_created(run: Run) -> None:
    result = run()
    assert [f"{step['verb']} {step['kind']} {step['name']}" for step in result["steps"]] == EVERYTHING
    assert result["lacking"] == ["cirros"]
    assert result["credential"]["secret"] == "told-once"
    assert run.store.quotas["network"] == {"floatingip": 20}
    public = run.store.find("subnet", "public-subnet")
    assert public.allocation_pools == [{"start": "172.31.0.130", "end": "172.31.0.200"}]
    assert run.store.find("router", "router1").external_gateway_info["network_id"] == public.network_id
    assert run.store.find("user", "hotstack").default_project_id == run.store.find("project", "hotstack").id
    assert run.store.find("application_credential", "hotstack-cred").unrestricted is True


def test_check_mode_foresees_it_and_changes_nothing(run: Run) -> None:
    assert run.steps(check=True) == EVERYTHING
    assert run.store.calls == []


def test_a_second_run_changes_nothing(settled: Run) -> None:
    assert settled.steps(credential=settled.known()) == []
    assert settled.store.calls == []


def test_no_secret_is_reported(settled: Run) -> None:
    settled.store.find("user", "hotstack").values["password"] = "another"
    assert "secret" not in json.dumps(settled(credential=settled.known()))


def another_password(run: Run) -> None:
    run.store.find("user", "hotstack").values["password"] = "another"


def another_flavor(run: Run) -> None:
    run.store.find("flavor", "small").values["ram"] = 1024


def another_network(run: Run) -> None:
    run.store.find("network", "private").values["shared"] = False


def another_mtu(run: Run) -> None:
    run.store.find("network", "private").values["mtu"] = 8942


def another_pool(run: Run) -> None:
    run.store.find("subnet", "public-subnet").values["allocation_pools"] = []


def another_gateway(run: Run) -> None:
    run.store.find("router", "router1").values["external_gateway_info"] = None


def no_interface(run: Run) -> None:
    run.store.kinds["port"].clear()


def no_rules(run: Run) -> None:
    run.store.kinds["security_group_rule"] = run.store.kinds["security_group_rule"][1:]


def another_key(run: Run) -> None:
    run.store.find("keypair", "hotstack").values["public_key"] = "ssh-rsa AAAA"


def a_comment_in_the_key(run: Run) -> None:
    run.store.find("keypair", "hotstack").values["public_key"] = KEY + "2"


def test_quotas_that_are_texts(settled: Run) -> None:
    texts = {"cores": "96", "floating_ips": "20", "volumes": "50"}
    known = settled.known()
    assert settled.steps(quotas=texts, credential=known) == []
    assert settled.steps(quotas={**texts, "cores": "-1"}, credential=known) == ["update compute quota hotstack"]
    assert settled.store.quotas["compute"]["cores"] == -1


def another_quota(run: Run) -> None:
    run.store.quotas["compute"]["cores"] = 1


def another_property(run: Run) -> None:
    run.store.find("image", "cirros").values["os_shutdown_timeout"] = 60


def no_grant(run: Run) -> None:
    run.store.kinds["role_assignment"].clear()


def disabled(run: Run) -> None:
    run.store.find("project", "hotstack").values["enabled"] = False


@pytest.mark.parametrize(
    ("meddle", "steps"),
    [
        (another_password, ["update user hotstack"]),
        (another_flavor, ["replace flavor small"]),
        (another_network, ["update network private"]),
        (another_mtu, ["update network private"]),
        (another_pool, ["update subnet public-subnet"]),
        (another_gateway, ["update router router1"]),
        (no_interface, ["create router interface router1 in private-subnet"]),
        (no_rules, ["create security group rule icmp in default of the project admin"]),
        (another_key, ["replace keypair hotstack"]),
        (a_comment_in_the_key, []),
        (another_quota, ["update compute quota hotstack"]),
        (another_property, ["update image cirros"]),
        (no_grant, ["create role member of the user hotstack on the project hotstack"]),
        (disabled, ["update project hotstack"]),
    ],
)
def test_what_differs_is_mended(settled: Run, meddle: Any, steps: list[str]) -> None:
    meddle(settled)
    foreseen = settled.steps(check=True, credential=settled.known())
    assert settled.store.calls == []
    assert foreseen == steps
    assert settled.steps(credential=settled.known()) == steps
    assert settled.steps(credential=settled.known()) == []


def test_only_what_is_described_is_touched(run: Run) -> None:
    nothing: dict[str, Any] = {name: [] for name in ("flavors", "networks", "routers", "rules", "images")}
    run.store.add("flavor", name="small", ram=1, description=cloud_plan.MARK)
    nothing["prune"] = False
    assert run.steps(project=None, user=None, quotas={}, keypair=None, credential=None, **nothing) == []
    assert run.store.calls == []


@pytest.mark.parametrize("kind", ["network", "subnet", "router", "image"])
def test_one_of_another_project_is_refused_before_anything_changes(run: Run, kind: str) -> None:
    name = {"network": "private", "subnet": "private-subnet", "router": "router1", "image": "cirros"}[kind]
    other = run.store.add("project", name="other").id
    run.store.add(kind, name=name, **({"owner": other} if kind == "image" else {"project_id": other}))
    error = f"The {kind} '{name}' belongs to the project 'other' already; rename or remove it."
    assert run()["error"] == error
    # Also where nothing else needs the names of projects.
    nothing: dict[str, Any] = {"project": None, "user": None, "quotas": {}, "keypair": None, "credential": None}
    assert run(**nothing)["error"] == error
    assert run.store.calls == []


def test_one_of_another_project_beside_ours_is_left_alone(settled: Run) -> None:
    settled.store.add("network", name="private", project_id="another")
    assert settled.steps(credential=settled.known()) == []


def test_a_taken_physical_network_is_refused(run: Run) -> None:
    flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    run.store.add("network", id="n1", name="outside", project_id=run.cloud.current_project_id, **flat)
    assert run()["error"].startswith("The physical network 'provider' is that of the network 'outside' (n1) already")
    assert run.store.calls == []


def test_what_cannot_be_changed_is_said(settled: Run) -> None:
    result = settled(networks=[network("private", cidr="10.0.0.0/24")], routers=[])
    assert "The subnet 'private-subnet' has the cidr '192.168.100.0/24' instead of '10.0.0.0/24'" in result["error"]
    assert "create" not in " ".join(settled.store.calls)


@pytest.mark.parametrize(
    ("down", "error"),
    [
        ("compute", "http://compute answers 503 Service Unavailable."),
        ("no block-storage", "The catalog of the cloud has no service 'block-storage'."),
    ],
)
def test_a_service_that_is_not_there(run: Run, down: str, error: str) -> None:
    """Its empty answer must not be taken for an empty cloud."""
    run.store.down.add(down)
    assert run()["error"] == error
    assert run.store.calls == []


@pytest.mark.parametrize("kind", ["network", "subnet", "router"])
def test_what_was_hidden_at_first_is_not_made_twice(settled: Run, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Neutron's first answers after a start may lack what there is."""
    listed = cloud_work.Work.listed

    def hidden(self: cloud_work.Work, asked: str, **query: str) -> Any:
        return [] if asked == kind and not query else listed(self, asked, **query)

    monkeypatch.setattr(cloud_work.Work, "listed", hidden)
    assert "was not there a moment ago; run this again." in settled(credential=settled.known())["error"]
    assert settled.store.calls == []


def test_an_unknown_role(run: Run) -> None:
    result = run(user={"name": "hotstack", "password": "secret", "roles": ["boss"]})
    assert result["error"] == "There is no role 'boss' for the user 'hotstack'."
    # What was done before is reported too.
    assert [step["name"] for step in result["steps"]] == ["hotstack", "hotstack"]


def test_an_unexpected_error_is_named(run: Run) -> None:
    def refuse(_name: str) -> Any:
        raise Refused(500)

    assert cloud_work.work(document(), refuse) == {"error": "Refused: 500"}

    def fail(_name: str) -> Any:
        raise KeyError("cloud")

    assert cloud_work.work(document(), fail) == {"error": "KeyError: 'cloud'"}


def test_another_error_than_a_wrong_password_is_not_taken_for_one(
    settled: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_names: str) -> Any:
        raise Refused(503)

    monkeypatch.setattr(settled.cloud, "connect_as", refuse, raising=False)
    assert settled(credential=settled.known())["error"] == "Refused: 503"
    assert settled.store.calls == []


def test_flavors_that_no_host_can_run(run: Run) -> None:
    huge = {"name": "huge", "vcpus": 12, "ram": 49152, "disk": 20}
    result = run(flavors=[*document()["flavors"], huge])
    assert result["too_large"] == [
        "huge (12 vCPUs, of which a host has 4, 49152 MB of memory, of which a host has 8192)"
    ]


# --- what is not described any more


def test_the_mtu_is_neutrons_choice_unless_it_is_described(settled: Run) -> None:
    settled.store.find("network", "private").values["mtu"] = 1
    networks = [document()["networks"][0], network("private", mtu=0)]
    assert settled.steps(networks=networks, credential=settled.known()) == []


def test_what_is_made_is_marked_and_what_was_there_is_not(settled: Run, tmp_path: Path) -> None:
    assert settled.store.find("flavor", "small").description == cloud_plan.MARK
    assert settled.store.find("image", "cirros").tags == [cloud_plan.MARK]
    admin = settled.cloud.current_project_id
    theirs = settled.store.add("image", name="own", owner=admin, status="active", disk_format="qcow2")
    flavor = {"name": "big", "vcpus": 1, "ram": 1, "disk": 1}
    settled.store.add("flavor", **flavor, **{"os-flavor-access:is_public": True})
    more: dict[str, Any] = {
        "images": [*document()["images"], image(name="own")],
        "flavors": [*document()["flavors"], flavor],
    }
    assert settled.steps(credential=settled.known(), **more) == ["update image own"]
    # What was only described is not ours: it stays when it is not described any more.
    assert settled.steps(credential=settled.known()) == []
    assert theirs in settled.store.kinds["image"]


def leftover(run: Run, kind: str, **values: Any) -> str:
    """Add something that an earlier run made."""
    ours = {"owner": run.cloud.current_project_id, "status": "active"} if kind == "image" else {}
    return str(run.store.add(kind, **{"name": "old", **cloud_plan.MARKS[kind], **ours, **values}).id)


PROPERTY = {"hotstack_os_source": "http://images/cirros", "tags": []}


@pytest.mark.parametrize(
    ("kind", "values", "used", "steps", "kept"),
    [
        pytest.param("image", {}, False, ["remove image old"], [], id="image"),
        pytest.param("image", {"status": "queued"}, False, ["remove image old"], [], id="half an image"),
        pytest.param("image", {}, True, [], ["image old"], id="image in use"),
        pytest.param("image", {"protected": True}, False, [], ["image old"], id="protected image"),
        pytest.param("image", {"os_hidden": True}, False, ["remove image old"], [], id="earlier content"),
        pytest.param("image", {"os_hidden": True}, True, [], [], id="earlier content in use"),
        pytest.param("image", {"owner": "other"}, False, [], [], id="image of another project"),
        pytest.param("image", PROPERTY, False, [], [], id="snapshot of a server, which has the image's properties"),
        pytest.param("image", {"tags": None}, False, [], [], id="image of others"),
        pytest.param("image", {"name": "cirros", "owner": "other"}, False, [], [], id="image of the same name"),
        pytest.param("flavor", {}, False, ["remove flavor old"], [], id="flavor"),
        pytest.param("flavor", {}, True, [], ["flavor old"], id="flavor in use"),
        pytest.param("flavor", {"description": None}, False, [], [], id="flavor of others"),
    ],
)
def test_leftovers(
    settled: Run, kind: str, values: dict[str, Any], used: bool, steps: list[str], kept: list[str]
) -> None:
    key = leftover(settled, kind, **values)
    if used:
        settled.store.used.add(key)
    told = {"credential": settled.known()}
    assert settled.steps(prune=False, **told) == []
    assert settled.steps(check=True, **told) == steps
    assert settled.store.calls == []
    result = settled(**told)
    assert [f"{step['verb']} {step['kind']} {step['name']}" for step in result["steps"]] == steps
    assert [step["before"] for step in result["steps"]] == [{"id": key} for _step in steps]
    assert result["kept"] == kept
    assert (key in [item.id for item in settled.store.kinds[kind]]) == (not steps)
    assert settled.steps(**told) == []


def test_lists_that_became_empty(settled: Run) -> None:
    steps = settled.steps(images=[], flavors=[], credential=settled.known())
    assert steps == ["remove flavor small", "remove image cirros"]
    assert (settled.store.names("image"), settled.store.names("flavor")) == ([], [])


def test_a_renamed_flavor(settled: Run) -> None:
    renamed = {**document()["flavors"][0], "name": "tiny"}
    assert settled.steps(flavors=[renamed], credential=settled.known()) == ["create flavor tiny", "remove flavor small"]
    assert settled.store.names("flavor") == ["tiny"]


@pytest.mark.parametrize(
    ("quotas", "steps", "after"),
    [
        pytest.param({"cores": 96, "floating_ips": 20, "volumes": 50}, [], {}, id="nothing dropped"),
        pytest.param(
            {"cores": 96, "volumes": 50}, ["update network quota hotstack"], {"floatingip": 50}, id="of networks"
        ),
        pytest.param(
            {"floating_ips": 20},
            ["update compute quota hotstack", "update block_storage quota hotstack"],
            {"floatingip": 20},
            id="of two services",
        ),
    ],
)
def test_quotas_that_are_not_described(
    settled: Run, quotas: dict[str, int], steps: list[str], after: dict[str, int]
) -> None:
    settled.store.default_quotas.update(
        compute={"cores": 20, "ram": 5}, network={"floatingip": 50}, block_storage={"volumes": 10}
    )
    settled.store.quotas["compute"]["ram"] = 5
    told = {"credential": settled.known()}
    assert settled.steps(quotas=quotas, prune=False, **told) == []
    assert settled.steps(quotas=quotas, check=True, **told) == steps
    assert settled.store.calls == []
    assert settled.steps(quotas=quotas, **told) == steps
    assert settled.store.quotas["network"].items() >= after.items()
    assert settled.store.quotas["compute"]["cores"] == quotas.get("cores", 20)
    assert settled.store.quotas["block_storage"]["volumes"] == quotas.get("volumes", 10)
    assert settled.steps(quotas=quotas, **told) == []


# --- the credential


def test_a_credential_whose_secret_is_lost_is_issued_again(settled: Run) -> None:
    before = settled.known()["known_id"]
    result = settled()
    assert settled.store.calls == ["delete application_credential", "create application_credential hotstack-cred"]
    assert result["credential"]["id"] != before
    assert settled.steps(credential={**settled.known(), "reissue": True}) == [
        "replace application credential hotstack-cred"
    ]


# --- images


def test_upload_and_new_content(settled: Run, tmp_path: Path) -> None:
    first = settled.store.find("image", "cirros")
    assert (first.status, first.os_hash_value, first.os_shutdown_timeout) == ("active", DIGEST, "5")
    (tmp_path / "cirros").write_bytes(b"other")
    line = image(path=str(tmp_path / "cirros"), sha512=hashlib.sha512(b"other").hexdigest())
    assert settled.steps(images=[line], credential=settled.known()) == ["replace image cirros"]
    assert settled.store.names("image") == ["cirros"]
    assert settled.store.find("image", "cirros").id != first.id


@pytest.mark.parametrize("protected", [True, False])
def test_earlier_content_of_servers_is_hidden(settled: Run, tmp_path: Path, protected: bool) -> None:
    first = settled.store.find("image", "cirros")
    if protected:
        first.values["protected"] = True
    else:
        settled.store.used.add(first.id)
    (tmp_path / "cirros").write_bytes(b"other")
    settled(images=[image(path=str(tmp_path / "cirros"), sha512=hashlib.sha512(b"other").hexdigest())])
    assert settled.store.names("image") == ["cirros-2026-01-01T00:00:00Z", "cirros"]
    assert first.os_hidden is True


def test_content_that_is_there_is_not_uploaded_again(settled: Run, tmp_path: Path) -> None:
    line = image(path=str(tmp_path / "cirros"), sha512=DIGEST, checksum="sha256:00", source="http://mirror/cirros")
    assert settled.steps(images=[line], credential=settled.known()) == ["update image cirros"]
    assert settled.store.find("image", "cirros").hotstack_os_checksum == "sha256:00"


def test_leftovers_of_a_killed_upload_go(settled: Run, tmp_path: Path) -> None:
    values: dict[str, Any] = {"owner": settled.cloud.current_project_id, "status": "queued"}
    settled.store.kinds["image"].clear()
    settled.store.add("image", name="cirros.uploading", **values)
    settled.store.add("image", name="cirros", **values)
    settled(images=[image(path=str(tmp_path / "cirros"), sha512=DIGEST)], credential=settled.known())
    assert settled.store.names("image") == ["cirros"]
    assert settled.store.find("image", "cirros").status == "active"


def test_a_failed_upload_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cirros").write_bytes(CONTENT)
    run.store.upload_status = 413
    result = run(images=[image(path=str(tmp_path / "cirros"), sha512=DIGEST), image(name="other")])
    assert list(result["failed"]) == ["cirros"]
    assert result["failed"]["cirros"] == "Glance refuses it: 413 413 Full"
    assert result["lacking"] == ["other"]
    assert run.store.names("image") == []
    assert "create image cirros" not in [f"{step['verb']} {step['kind']} {step['name']}" for step in result["steps"]]


def test_check_mode_foresees_an_upload(run: Run, tmp_path: Path) -> None:
    line = image(path="/nowhere", sha512=DIGEST)
    assert "create image cirros" in run.steps(check=True, images=[line])


def test_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = copy.deepcopy(document(check=True))
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(told)))
    monkeypatch.setattr(cloud_work, "work", lambda given: {"given": given == told})
    cloud_work.main()
    assert json.loads(capsys.readouterr().out) == {"given": True}


def test_plain_shows_properties_beside_values() -> None:
    class Image:
        id = "1"

        def to_dict(self, original_names: bool) -> dict[str, Any]:
            assert original_names
            return {"name": "cirros", "hw_machine_type": None, "properties": {"a": "b"}}

    assert cloud_work.plain(Image()) == {"id": "1", "name": "cirros", "a": "b"}
    assert cloud_plan.owner({}) is None
