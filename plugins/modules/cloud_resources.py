#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Bring a cloud to what its users need."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cloud_resources
short_description: Bring a cloud to what its users need
version_added: 0.1.0
description:
  - Creates a project with its user, quotas, flavors, networks, routers, rules, a key, an application credential and
    images, and updates what differs. What is not described is left alone, unless O(prune) is set.
  - All of it is one run of openstacksdk, this Python's or that of a container image, so a host needs no client of its
    own. No secret shows in a process or a log.
  - Networks, subnets, routers and images belong to the project of the administrator. One of the same name that belongs
    to another project only is refused before anything is changed.
  - A flavor that differs is replaced; servers keep the copy that they were made with. Where an image has new content,
    the earlier one is removed, or hidden under another name if servers were made from it.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  cloud:
    description: The administrator's cloud, of C(/etc/openstack/clouds.yaml) or another place where clients look.
    type: str
    default: hotstack-os-admin
  runtime_image:
    description: The container image that has openstacksdk, for a host whose Python has none.
    type: str
    required: true
  credentials_file:
    description: The JSON file on the host that has the passwords.
    type: path
  project:
    description: The project of the user, in the domain Default.
    type: dict
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      description:
        description: What it is for.
        type: str
        default: ""
  user:
    description: The user of the project, in the domain Default.
    type: dict
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      password_credential:
        description: The name of the user's password in O(credentials_file).
        type: str
        required: true
      roles:
        description: The roles of the user on the project.
        type: list
        elements: str
        default: [member]
  quotas:
    description: Quotas of the project by their names.
    type: dict
    default: {}
  flavors:
    description: Public flavors.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The flavor's name.
        type: str
        required: true
      vcpus:
        description: Its processors.
        type: int
        required: true
      ram:
        description: Its memory in MB.
        type: int
        required: true
      disk:
        description: Its disk in GB.
        type: int
        required: true
  networks:
    description: Networks, each with one subnet.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The network's name.
        type: str
        required: true
      shared:
        description: Whether every project may use it.
        type: bool
        default: false
      external:
        description: Whether it is one of floating IPs and gateways of routers.
        type: bool
        default: false
      physical_network:
        description: The physical network that it is, flat; empty for a network of Neutron's own.
        type: str
        default: ""
      mtu:
        description: The bytes that a packet in it may have; 0 for Neutron's choice, which an earlier choice outlives.
        type: int
        default: 0
      subnet:
        description: The subnet's name.
        type: str
        required: true
      cidr:
        description: The subnet's addresses.
        type: str
        required: true
      gateway:
        description: The gateway; empty for Neutron's choice.
        type: str
        default: ""
      dhcp:
        description: Whether guests get their addresses by DHCP.
        type: bool
        default: true
      dns_servers:
        description: The DNS servers of guests.
        type: list
        elements: str
        default: []
      pools:
        description: The addresses to give away, as V(first-last); empty for Neutron's choice.
        type: list
        elements: str
        default: []
  reserved_networks:
    description: Networks of the host that O(networks) must not overlap.
    type: list
    elements: str
    default: []
  routers:
    description: Routers between O(networks).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The router's name.
        type: str
        required: true
      network:
        description: The external network that it leads to.
        type: str
        required: true
      subnets:
        description: The subnets that it connects.
        type: list
        elements: str
        default: []
  rules:
    description: What the group C(default) of the administrator's and the user's project lets in.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: The protocol.
        type: str
        required: true
      port:
        description: The port; none for all.
        type: int
  keypair:
    description: The key of the user.
    type: dict
    suboptions:
      name:
        description: The keypair's name.
        type: str
        required: true
      public_key_file:
        description:
          - The file of the public key.
          - If it is empty, C(~/.ssh/id_ed25519.pub) or C(~/.ssh/id_rsa.pub) of who runs the module; without these there
            is no keypair, and a warning.
        type: path
        default: ""
  application_credential:
    description: An unrestricted application credential of the user, and the files that it is written to.
    type: dict
    suboptions:
      name:
        description: The credential's name.
        type: str
        required: true
      description:
        description: What it is for.
        type: str
        default: ""
      file:
        description: The file for root. Without it a new credential is issued, as Keystone tells a secret only once.
        type: path
        required: true
      users:
        description: Users of the host who get the file too, as C(~/.config/openstack/cloud-secret.yaml).
        type: list
        elements: str
        default: []
      auth_url:
        description: Keystone's URL in the file.
        type: str
        required: true
      region:
        description: The region in the file.
        type: str
        required: true
      reissue:
        description: Whether to issue a new credential, and so to end the one that there is.
        type: bool
        default: false
  images:
    description: Images. Those whose content is missing are in RV(lacking), until O(files) has it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The image's name.
        type: str
        required: true
      url:
        description: Where it comes from.
        type: str
        default: ""
      file:
        description: The file on the host that it comes from, instead of O(images[].url).
        type: str
        default: ""
      checksum:
        description: The digest, as V(sha256:<digest>), or the URL of a file of digests.
        type: str
        default: ""
      disk_format:
        description: The image's format.
        type: str
        default: qcow2
      visibility:
        description: Who may use it.
        type: str
        choices: [community, private, public, shared]
        default: public
      properties:
        description: Properties of the image.
        type: dict
        default: {}
  files:
    description: The content of images, as M(hotstack.os.image_files) returns it.
    type: dict
    default: {}
  refresh:
    description: Whether an image without a digest counts as lacking its content, for a newer one may exist.
    type: bool
    default: false
  prune:
    description:
      - Whether what is not described any more goes - flavors and images that this module made. Quotas of O(project)
        get the default of their service again.
      - A flavor or an image that a server of any project was made from stays, with a warning; so does a protected one.
    type: bool
    default: false
  cache:
    description: The folder in which digests of local files are remembered.
    type: path
    default: /var/cache/hotstack-os/images
  store:
    description: The folder that Glance keeps images in, for a look at its free space before an upload; empty for none.
    type: path
    default: ""
attributes:
  check_mode:
    description: Can run in check mode without changing anything, also before there is a cloud.
    support: full
  diff_mode:
    description: Returns what changed, without secrets.
    support: full
"""

EXAMPLES = r"""
- name: Have a flavor and a network
  hotstack.os.cloud_resources:
    runtime_image: "{{ hotstack_os_image_references['openstack'] }}"
    flavors:
      - {name: small, vcpus: 1, ram: 2048, disk: 20}
    networks:
      - {name: private, shared: true, subnet: private-subnet, cidr: 192.168.100.0/24, dns_servers: [172.31.0.129]}
"""

RETURN = r"""
steps:
  description: What was done, in order.
  returned: always
  type: list
  elements: str
  sample: ["create flavor small"]
lacking:
  description: The images whose content Glance lacks.
  returned: always
  type: list
  elements: str
failures:
  description: Why an image could not be uploaded, by its name.
  returned: always
  type: dict
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import (
    cloud_plan,
    cloud_program,
    cloud_secrets,
    cloud_settings,
    cloud_work,
    image_downloads,
)
from ansible_collections.hotstack.os.plugins.module_utils.cloud_plan import CloudError
from ansible_collections.hotstack.os.plugins.module_utils.cloud_program import CloudProgramError
from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError
from ansible_collections.hotstack.os.plugins.module_utils.credentials_file import read_credential
from ansible_collections.hotstack.os.plugins.module_utils.files import (
    acting_as,
    in_home,
    make_folders,
    read_text,
    write_text,
)

TEXT: dict[str, Any] = {"type": "str", "default": ""}
NAME: dict[str, Any] = {"type": "str", "required": True}
NUMBER: dict[str, Any] = {"type": "int", "required": True}
TEXTS: dict[str, Any] = {"type": "list", "elements": "str", "default": []}


def lines(**options: Any) -> dict[str, Any]:
    """Return the spec of a list of things with names."""
    return {"type": "list", "elements": "dict", "default": [], "options": {"name": NAME, **options}}


ARGUMENTS: dict[str, Any] = {
    "cloud": {"type": "str", "default": "hotstack-os-admin"},
    "runtime_image": NAME,
    "credentials_file": {"type": "path"},
    "project": {"type": "dict", "options": {"name": NAME, "description": TEXT}},
    "user": {
        "type": "dict",
        "options": {
            "name": NAME,
            "password_credential": {"type": "str", "required": True, "no_log": False},
            "roles": {"type": "list", "elements": "str", "default": ["member"]},
        },
    },
    "quotas": {"type": "dict", "default": {}},
    "flavors": lines(vcpus=NUMBER, ram=NUMBER, disk=NUMBER),
    "networks": lines(
        shared={"type": "bool", "default": False},
        external={"type": "bool", "default": False},
        physical_network=TEXT,
        mtu={"type": "int", "default": 0},
        subnet=NAME,
        cidr=NAME,
        gateway=TEXT,
        dhcp={"type": "bool", "default": True},
        dns_servers=TEXTS,
        pools=TEXTS,
    ),
    "reserved_networks": TEXTS,
    "routers": lines(network=NAME, subnets=TEXTS),
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"protocol": NAME, "port": {"type": "int"}},
    },
    "keypair": {
        "type": "dict",
        "no_log": False,
        "options": {"name": NAME, "public_key_file": {"type": "path", "default": ""}},
    },
    "application_credential": {
        "type": "dict",
        "no_log": False,
        "options": {
            "name": NAME,
            "description": TEXT,
            "file": {"type": "path", "required": True},
            "users": TEXTS,
            "auth_url": NAME,
            "region": NAME,
            "reissue": {"type": "bool", "default": False},
        },
    },
    "images": lines(
        url=TEXT,
        file=TEXT,
        checksum=TEXT,
        disk_format={"type": "str", "default": "qcow2"},
        visibility={"type": "str", "choices": ["community", "private", "public", "shared"], "default": "public"},
        properties={"type": "dict", "default": {}},
    ),
    "files": {"type": "dict", "default": {}},
    "refresh": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "cache": {"type": "path", "default": "/var/cache/hotstack-os/images"},
    "store": {"type": "path", "default": ""},
}

KEY_FILES = ("~/.ssh/id_ed25519.pub", "~/.ssh/id_rsa.pub")
# What the program in the container is made of.
PROGRAM = (cloud_plan, cloud_work)


# --- what the program is told


def document(params: dict[str, Any], check_mode: bool, warnings: list[str], failures: dict[str, str]) -> dict[str, Any]:
    """Return everything that the program needs, secrets included."""
    same = ("cloud", "project", "quotas", "flavors", "networks", "routers", "rules", "prune")
    result: dict[str, Any] = {"check": check_mode, **{name: params[name] for name in same}}
    result["user"] = None
    if params["user"]:
        name = params["user"]["password_credential"]
        result["user"] = {**params["user"], "password": read_credential(params["credentials_file"], name, check_mode)}
    result["keypair"] = keypair(params["keypair"], warnings)
    result["credential"] = None
    if params["application_credential"]:
        wanted = params["application_credential"]
        known = cloud_secrets.known_credential(read_text(wanted["file"])[0] or "")
        result["credential"] = {**wanted, "known_id": known["id"] if known else ""}
    result["images"] = [image(line, params, check_mode, failures) for line in params["images"]]
    return result


def keypair(wanted: dict[str, Any] | None, warnings: list[str]) -> dict[str, str] | None:
    """Return name and text of the public key; None if there is none."""
    if not wanted:
        return None
    given = wanted["public_key_file"]
    for path in [given] if given else map(in_home, KEY_FILES):
        text, _mode = read_text(path)
        if text is not None:
            if not cloud_settings.is_public_key(text):
                raise CloudError(f"{path} is no OpenSSH public key.")
            return {"name": wanted["name"], "public_key": text.strip()}
    if given:
        raise CloudError(f"There is no file {given} with a public key on this host.")
    warnings.append(f"There is no keypair '{wanted['name']}', for there is no {' or '.join(map(in_home, KEY_FILES))}.")
    return None


def image(line: dict[str, Any], params: dict[str, Any], check_mode: bool, failures: dict[str, str]) -> dict[str, Any]:
    """Return an image with what is known of its content."""
    given = params["files"].get(line["name"], {})
    sha512 = given.get("sha512", "")
    if not sha512 and line["file"] and os.path.isfile(line["file"]):
        if check_mode:
            sha512 = image_downloads.digests(line["file"], "sha512")["sha512"]
        else:
            sha512 = image_downloads.remembered_digest(line["file"], params["cache"])
    path = given.get("path", "")
    if path and params["store"]:
        free = shutil.disk_usage(params["store"]).free
        problem = image_downloads.space_problem(os.path.getsize(path), free, params["store"])
        if problem:
            failures[line["name"]], path = problem, ""
    return {
        **line,
        "source": image_downloads.public_url(line["url"]) if line["url"] else line["file"],
        "sha512": sha512,
        "path": path,
        "refresh": params["refresh"] and not path,
    }


# --- running it


def run_program(params: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Run the program and return its result."""
    with tempfile.TemporaryDirectory(prefix="hotstack-os-") as folder:
        cloud_program.write_package(folder, cloud_program.sources_of(PROGRAM))
        paths = sorted({line["path"] for line in told["images"] if line["path"]})
        line, added = cloud_program.command(folder, params["runtime_image"], "cloud_work", files=paths)
        environment = {**os.environ, **added}
        done = subprocess.run(
            line, check=False, capture_output=True, text=True, input=json.dumps(told), env=environment
        )
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise CloudError(f"{line[0]} could not run the client: {last[0]}") from None
    return result


# --- the files of the credential


def write_secrets(wanted: dict[str, Any], issued: dict[str, str] | None, check_mode: bool) -> list[str]:
    """Write the credential where it is not yet; return the files that changed."""
    credential = issued or cloud_secrets.known_credential(read_text(wanted["file"])[0] or "")
    if credential is None:
        return []
    text = cloud_secrets.secret_text(wanted["auth_url"], wanted["region"], credential)
    changed = []
    for name in ["", *wanted["users"]]:
        try:
            owner = pwd.getpwnam(name) if name else None
        except KeyError:
            raise CloudError(f"The user {name} does not exist on this host.") from None
        path = os.path.join(owner.pw_dir, ".config/openstack/cloud-secret.yaml") if owner else wanted["file"]
        with acting_as(owner):
            if read_text(path) != (text, 0o600):
                changed.append(path)
                if not check_mode:
                    make_folders(os.path.dirname(path), private=owner is not None)
                    write_text(path, text, 0o600)
    return changed


# --- what is reported


def shown(steps: list[dict[str, Any]], side: str) -> str:
    """Return one side of a diff."""
    blocks = []
    for step in steps:
        if step[side] or (side == "after" and step["verb"] != "remove"):
            values = (f"  {name}: {value}\n" for name, value in step[side].items() if value is not None)
            blocks.append(f"{step['kind']} {step['name']}\n{''.join(values)}")
    return "".join(blocks)


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Check what is wanted, do it and report."""
    found = cloud_settings.problems(params)
    if found:
        raise CloudError("\n- ".join(["What is wanted can't be done; nothing was changed.", *found]))
    warnings: list[str] = []
    failures: dict[str, str] = {}
    told = document(params, check_mode, warnings, failures)
    try:
        result = run_program(params, told)
    except (CloudProgramError, FileNotFoundError):
        if not check_mode:
            raise
        # A fresh host, on which only a real run installs podman and builds images.
        everything = [line["name"] for line in params["images"]]
        return {"changed": True, "steps": [], "lacking": everything, "failures": {}, "warnings": warnings}
    steps = result.get("steps", [])
    written: list[str] = []
    # Also where a later step failed: Keystone tells the secret only this time.
    if params["application_credential"] and (result.get("credential") or "error" not in result):
        written = write_secrets(params["application_credential"], result.get("credential"), check_mode)
    if result.get("too_large") and any(step["kind"] == "flavor" for step in steps):
        warnings.append("No host is large enough for the flavors " + ", ".join(result["too_large"]) + ".")
    if result.get("kept"):
        kept = ", ".join(result["kept"])
        warnings.append(f"Not described any more, but kept, as they are in use or protected: {kept}.")
    answer = {
        "changed": bool(steps or written),
        "steps": [f"{step['verb']} {step['kind']} {step['name']}" for step in steps] + [f"write {p}" for p in written],
        "lacking": result.get("lacking", []),
        "failures": {**result.get("failed", {}), **failures},
        "warnings": warnings,
        "diff": {"before": shown(steps, "before"), "after": shown(steps, "after")},
    }
    return {**answer, "failed": True, "msg": result["error"]} if "error" in result else answer


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_together=[("project", "user")],
        required_by={"user": ["credentials_file"], "keypair": ["user"], "application_credential": ["user"]},
    )
    try:
        result = run(module.params, module.check_mode)
    except (CloudError, CloudProgramError, CredentialsError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}.")
    for warning in result.pop("warnings"):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
