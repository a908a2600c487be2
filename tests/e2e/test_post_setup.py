# SPDX-License-Identifier: Apache-2.0
"""The project, networks and images that guests need: created, kept as described, and said clearly where that fails."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lab import ROOT, Lab, Play

# The images that the lab has anyway: without them in the settings they would go.
IMAGES = yaml.safe_load((ROOT / "inventory/group_vars/hotstack_os.yml").read_text())["post_setup_images"]
FOLDER = "/srv/hotstack-test-images"
SERVER = "http://127.0.0.1:8099"
CONTENT = bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SECRET_FILE = "/etc/openstack/cloud-secret.yaml"
USER = "hotstack-tester"

# Serves one file; its first answer breaks off in the middle.
SERVE = """
import http.server, pathlib, sys
folder = pathlib.Path(sys.argv[1])
content = bytes(3_000_000)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range") or ""
        with open(folder / "requests", "a") as log:
            log.write(f"{self.path} {asked}\\n")
        if self.path == "/gone.img":
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", '"one"')
        self.end_headers()
        half = self.path == "/broken.img" and not start
        self.wfile.write(content[start : len(content) // 2 if half else None])
        self.close_connection = True

http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""

# What runs with openstacksdk, before what a test wants to know.
HEAD = """
import json, openstack, sys
cloud = openstack.connect("hotstack-os-admin")
project = next(item for item in cloud.identity.projects(name="hotstack"))
def images():
    return {item.name: item for item in cloud.image.images()}
"""

STATE = """
subnets = {item.name: item for item in cloud.network.subnets()}
networks = {item.name: item for item in cloud.network.networks()}
group = list(cloud.network.security_groups(project_id=project.id, name="default"))[0]
print(json.dumps({
    "flavors": {item.name: [item.vcpus, item.ram, item.disk] for item in cloud.compute.flavors()},
    "cores": cloud.compute.get_quota_set(project.id).cores,
    "ports": cloud.network.get_quota(project.id).ports,
    "gigabytes": cloud.block_storage.get_quota_set(project.id).gigabytes,
    "networks": {name: [item.is_shared, item.is_router_external, item.mtu] for name, item in networks.items()},
    "subnets": {name: [item.cidr, item.is_dhcp_enabled, item.dns_nameservers] for name, item in subnets.items()},
    "pools": subnets["public-subnet"].allocation_pools,
    "routers": [item.name for item in cloud.network.routers()],
    "rules": sorted(str(item.protocol) for item in cloud.network.security_group_rules(security_group_id=group.id)
                    if item.direction == "ingress" and not item.remote_group_id),
    "images": {name: item.status for name, item in images().items()},
}))
"""

# Log in with what the file has, and try an earlier credential.
LOG_IN = """
import yaml
with open("/etc/openstack/cloud-secret.yaml") as file:
    found = yaml.safe_load(file)["hotstack_cloud_secrets"]
def works(**names):
    try:
        auth = {"auth_url": found["auth_url"], **names}
        return bool(openstack.connect(auth_type=found["auth_type"], auth=auth).session.get_token())
    except Exception as error:
        return getattr(error, "http_status", str(error))
names = ("application_credential_id", "application_credential_secret")
print(json.dumps({"id": found[names[0]], "works": works(**{name: found[name] for name in names}),
                  "known": [item.id for item in cloud.identity.application_credentials(project_user().id)]}))
""".replace("project_user()", 'next(cloud.identity.users(name="hotstack"))')


class Setup:
    """Runs the playbook, and asks the cloud."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def __call__(self, *options: str, check: bool = True, **variables: Any) -> Play:
        begin = time.monotonic()
        command = ["ansible-playbook", "hotstack.os.post_setup", "--extra-vars", json.dumps(variables), *options]
        done = self.lab.attempt(*command, timeout=600)
        play = Play(done.returncode, done.stdout + done.stderr, time.monotonic() - begin)
        if check:
            assert play.status == 0, play.tail()
        return play

    def ask(self, script: str, *arguments: str) -> Any:
        """Return the JSON that a script with openstacksdk prints."""
        return self.lab.openstacksdk(HEAD + script, *arguments)


@pytest.fixture(scope="module")
def setup(deployed: Lab) -> Setup:
    """Return the playbook after its first run."""
    setup = Setup(deployed)
    setup()
    return setup


@pytest.fixture(scope="module")
def server(deployed: Lab) -> Iterator[str]:
    """Run a server of images in the lab host."""
    deployed.run("mkdir", "-p", FOLDER)
    deployed.run("tee", f"{FOLDER}/serve.py", data=SERVE)
    unit = "hotstack-test-images"
    deployed.run("systemd-run", f"--unit={unit}", "--collect", "python3", f"{FOLDER}/serve.py", FOLDER)
    deployed.wait(
        lambda: deployed.attempt("curl", "-fs", "-o", "/dev/null", f"{SERVER}/up").returncode == 0, "a server", 30
    )
    yield SERVER
    deployed.run("systemctl", "stop", unit)
    deployed.run("rm", "-rf", FOLDER)


def test_what_is_created(setup: Setup) -> None:
    """See what scenarios count on."""
    state = setup.ask(STATE)
    assert (
        state["flavors"].items()
        >= {
            "hotstack.small": [1, 2048, 20],
            "hotstack.medium": [2, 4096, 40],
            "hotstack.mlarge": [2, 6144, 60],
            "hotstack.large": [4, 8192, 80],
            "hotstack.xlarge": [8, 16384, 160],
            "hotstack.xxlarge": [12, 32768, 160],
            "hotstack.xxxlarge": [12, 49152, 160],
        }.items()
    )
    assert (state["cores"], state["ports"], state["gigabytes"]) == (96, 100, 1000)
    assert state["networks"].items() >= {"private": [True, False, 9158], "public": [True, True, 9216]}.items()
    assert state["subnets"]["private-subnet"] == ["192.168.100.0/24", True, ["172.31.0.129"]]
    assert state["subnets"]["public-subnet"] == ["172.31.0.128/25", False, ["172.31.0.129"]]
    assert state["pools"] == [{"start": "172.31.0.130", "end": "172.31.0.200"}]
    assert "router1" in state["routers"]
    assert state["rules"] == ["icmp", "tcp"]
    assert state["images"]["cirros"] == "active"


def test_the_users_cloud(setup: Setup) -> None:
    """Use the cloud of the project's user, from root's file."""
    assert setup.lab.run("openstack", "--os-cloud", "hotstack-os", "network", "list", "-f", "value", "-c", "Name")
    assert setup.lab.run("stat", "--format=%a %U", SECRET_FILE).strip() == "600 root"


def test_a_second_run(setup: Setup) -> None:
    """Run again: nothing changed, within 15 seconds."""
    play = setup()
    assert play.changed == 0, play.changes
    assert play.seconds < 15


def test_check_mode_sees_no_change(setup: Setup) -> None:
    """Ask what a run would do."""
    play = setup("--check", "--diff")
    assert play.changed == 0, play.tail()


def test_what_differs_is_mended(setup: Setup) -> None:
    """Meddle with a quota, a flavor, an MTU, a subnet, a property and a password."""
    setup.ask("""
cloud.compute.update_quota_set(project.id, cores=7)
flavor = cloud.compute.find_flavor("hotstack.small")
cloud.compute.delete_flavor(flavor)
cloud.compute.create_flavor(name="hotstack.small", vcpus=1, ram=99, disk=20)
cloud.network.update_subnet(cloud.network.find_subnet("private-subnet"), dns_nameservers=["192.0.2.1"])
cloud.network.update_network(cloud.network.find_network("private"), mtu=1442)
cloud.image.update_image(images()["cirros"], visibility="private", hw_vif_model="e1000")
cloud.identity.update_user(next(cloud.identity.users(name="hotstack")), password="anotherPassword")
print("null")
""")
    play = setup()
    assert play.changed == 1, play.tail(200)
    state = setup.ask(STATE)
    assert (state["cores"], state["flavors"]["hotstack.small"]) == (96, [1, 2048, 20])
    assert state["subnets"]["private-subnet"][2] == ["172.31.0.129"]
    assert state["networks"]["private"] == [True, False, 9158]
    image = setup.ask('print(json.dumps(images()["cirros"].to_dict()))')
    # A property that is not described stays.
    assert (image["visibility"], image["hw_vif_model"]) == ("public", "e1000")
    assert image["properties"]["hotstack_os_source"].startswith("/")
    assert setup.lab.run("openstack", "--os-cloud", "hotstack-os", "token", "issue", "-f", "value", "-c", "id")
    assert setup().changed == 0
    lines = [
        {"name": "cirros", "file": image["properties"]["hotstack_os_source"], "properties": {"hw_vif_model": "virtio"}}
    ]
    assert setup(post_setup_images=lines).changed == 1
    assert setup.ask('print(json.dumps(images()["cirros"].hw_vif_model))') == "virtio"


@pytest.mark.full
def test_settings_converge(setup: Setup) -> None:
    """Change a quota and a flavor in the settings and drop others, as foretold, and go back."""
    setup.ask('cloud.compute.create_flavor(name="test-theirs", vcpus=1, ram=64, disk=1); print("null")')
    flavors = [{"name": "hotstack.small", "vcpus": 2, "ram": 1024, "disk": 10}]
    settings: dict[str, Any] = {"post_setup_quotas": {"cores": 10}, "post_setup_flavors": flavors}
    foretold = setup("--check", "--diff", **settings)
    assert foretold.changed == 1
    assert "-flavor hotstack.large" in foretold.output
    assert setup(**settings).changed == 1
    state = setup.ask(STATE)
    # What Neutron and Cinder give who has no quota.
    assert (state["cores"], state["ports"], state["gigabytes"]) == (10, 500, 1000)
    # What somebody else made stays.
    assert state["flavors"] == {"test-theirs": [1, 64, 1], "hotstack.small": [2, 1024, 10]}
    setup()
    state = setup.ask('cloud.compute.delete_flavor(cloud.compute.find_flavor("test-theirs"))' + STATE)
    assert (len(state["flavors"]), state["flavors"]["hotstack.small"], state["ports"]) == (7, [1, 2048, 20], 100)


def test_bad_values(setup: Setup) -> None:
    """Read a sentence for each, before anything changes."""
    play = setup(check=False, post_setup_quotas={"core": 1}, post_setup_private_network="172.31.0.0/24")
    assert play.status != 0
    words = " ".join(play.output.split())
    assert "There is no quota 'core'; did you mean cores?" in words
    assert "has the CIDR 172.31.0.0/24, but must lie outside" in words
    assert play.changed == 0


# --- the credential


@pytest.mark.full
def test_the_credential(setup: Setup) -> None:
    """Log in with it, issue it again, and lose its file."""
    first = setup.ask(LOG_IN)
    assert (first["works"], first["known"]) == (True, [first["id"]])
    assert setup(post_setup_reissue_credential=True).changed == 1
    second = setup.ask(LOG_IN)
    assert second["id"] != first["id"]
    assert (second["works"], second["known"]) == (True, [second["id"]])
    setup.lab.run("rm", SECRET_FILE)
    assert setup().changed == 1
    third = setup.ask(LOG_IN)
    assert (third["works"], third["known"]) == (True, [third["id"]])


@pytest.mark.full
def test_a_user_of_the_host(setup: Setup) -> None:
    """Hand cloud and credential to a user of the host, and to nobody else."""
    setup.lab.run("useradd", "--create-home", USER)
    try:
        setup(post_setup_clouds_users=[USER])
        folder = f"/home/{USER}/.config/openstack"
        shown = setup.lab.run("stat", "--format=%n %a %U", f"{folder}/clouds.yaml", f"{folder}/cloud-secret.yaml")
        assert shown.split() == [f"{folder}/clouds.yaml", "600", USER, f"{folder}/cloud-secret.yaml", "600", USER]
        assert "hotstack-os:" in setup.lab.run("cat", f"{folder}/clouds.yaml")
        assert setup(post_setup_clouds_users=[USER]).changed == 0
    finally:
        setup.lab.run("userdel", "--remove", USER)


@pytest.mark.full
def test_the_keypair(setup: Setup, server: str) -> None:
    """Have the keypair that a file says, and then another one."""
    ask = "print(json.dumps([item.public_key.split()[1] for item in cloud.compute.keypairs(user_id=sys.argv[1])]))"
    user = setup.ask('print(json.dumps(next(cloud.identity.users(name="hotstack")).id))')
    for number in ("1", "2"):
        path = f"{FOLDER}/key{number}"
        setup.lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        assert setup(post_setup_public_key_file=f"{path}.pub").changed == 1
        assert setup(post_setup_public_key_file=f"{path}.pub").changed == 0
        assert setup.ask(ask, user) == [setup.lab.run("cat", f"{path}.pub").split()[1]]
    assert setup(check=False, post_setup_public_key_file=f"{FOLDER}/none.pub").status != 0
    setup.ask('print(json.dumps(cloud.compute.delete_keypair("hotstack", user_id=sys.argv[1])))', user)


# --- images


def image(name: str, **values: str) -> dict[str, str]:
    line = {"name": f"test-{name}", "url": f"{SERVER}/{name}.img", "checksum": f"sha256:{DIGEST}"}
    return {**line, "disk_format": "raw", **values}


@pytest.mark.full
def test_images(setup: Setup, server: str) -> None:
    """See two of four fail, with names and reasons, and the other two there, one after an interruption."""
    lab = setup.lab
    wrong = image("wrong", checksum="sha256:" + "0" * 64)
    images = [*IMAGES, image("gone"), wrong, image("broken"), image("good")]
    try:
        settings: dict[str, Any] = {"post_setup_image_cache_dir": f"{FOLDER}/cache"}
        play = setup(check=False, post_setup_images=images, **settings)
        assert play.status != 0
        words = " ".join(play.output.split())
        assert f"test-gone: {server}/gone.img answers 404 Not Found" in words
        assert f"its checksum is sha256:{DIGEST}, but should be sha256:000" in words
        assert "test-good: 3 of 3 MiB (100 %)" in words
        state = setup.ask(STATE)["images"]
        assert "test-gone" not in state
        assert (state["test-broken"], state["test-good"]) == ("active", "active")
        asked = lab.run("cat", f"{FOLDER}/requests").splitlines()
        assert [line.split()[1:] for line in asked if "broken" in line] == [[], [f"bytes={len(CONTENT) // 2}-"]]
        # What is there is not asked for again.
        lab.run("rm", f"{FOLDER}/requests")
        assert setup(post_setup_images=[*IMAGES, *images[-2:]], **settings).changed == 0
        assert lab.attempt("test", "-e", f"{FOLDER}/requests").returncode != 0
    finally:
        # What is not in the settings any more goes, and nothing else.
        setup()
    there = setup.ask(STATE)["images"]
    assert [name for name in there if name.startswith("test-")] == []
    assert there["cirros"] == "active"


@pytest.mark.full
def test_new_content_takes_the_name(setup: Setup) -> None:
    """Change a local file: its image is another one, and the earlier one is gone."""
    lab = setup.lab
    lab.run("mkdir", "-p", FOLDER)
    wanted = {"name": "test-local", "file": f"{FOLDER}/local.raw", "disk_format": "raw", "visibility": "private"}
    show = 'print(json.dumps([[item.id, item.size] for item in cloud.image.images(name="test-local")]))'
    try:
        lab.shell(f"head -c 1000 /dev/zero > {FOLDER}/local.raw")
        setup(post_setup_images=[*IMAGES, wanted])
        before = setup.ask(show)
        lab.shell(f"head -c 2000 /dev/zero > {FOLDER}/local.raw")
        setup(post_setup_images=[*IMAGES, wanted])
        after = setup.ask(show)
        assert [size for _id, size in [*before, *after]] == [1000, 2000]
        assert before[0][0] != after[0][0]
        assert setup(post_setup_images=[*IMAGES, wanted]).changed == 0
    finally:
        setup.ask('print(json.dumps(cloud.image.delete_image(images()["test-local"])))')


@pytest.mark.full
def test_an_image_of_another_project_is_refused(setup: Setup) -> None:
    """Find the name of an image taken by another project."""
    project = setup.ask("""
other = cloud.identity.create_project(name="test-other")
answer = cloud.image.post("/images", json={"name": "test-taken", "owner": other.id, "disk_format": "raw",
                                           "container_format": "bare"})
assert answer.status_code == 201, answer.text
print(json.dumps(other.id))
""")
    try:
        wanted = {"name": "test-taken", "url": f"{SERVER}/taken.img"}
        play = setup(check=False, post_setup_images=[wanted], post_setup_quotas={"cores": 1})
        assert play.status != 0
        sentence = "The image 'test-taken' belongs to the project 'test-other' already; rename or remove it."
        assert sentence in " ".join(play.output.split())
        assert setup.ask(STATE)["cores"] == 96
    finally:
        script = 'cloud.image.delete_image(images()["test-taken"]); cloud.identity.delete_project(sys.argv[1])'
        setup.ask(f"{script}; print('null')", project)
