# SPDX-License-Identifier: Apache-2.0
"""The collection on its way into the lab host: the working tree, its artifact, the playbook."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import time
from pathlib import Path

from lablib.host import LabHost
from lablib.paths import ROOT
from lablib.process import LabError, say

HOME = "/opt/hotstack-os"
SOURCE = f"{HOME}/source"
DIGEST = f"{HOME}/digest"
COLLECTIONS = "/usr/share/ansible/collections"

# The artifact is built where Ansible is, then installed as a user would, but for the dependencies: those are there.
INSTALL = f"""
set -eu
rm -rf {HOME}/dist {DIGEST} {SOURCE}.new
mkdir -p {SOURCE}.new
tar -x -C {SOURCE}.new
rm -rf {SOURCE}
mv {SOURCE}.new {SOURCE}
cd {SOURCE}
ansible-galaxy collection build --output-path {HOME}/dist
ansible-galaxy collection install --no-deps --force --collections-path {COLLECTIONS} {HOME}/dist/*.tar.gz
"""

NEXT = """
OpenStack runs in {name}. To try next (HOTSTACK_LAB_NAME names another lab):
  tools/lab exec -- openstack --os-cloud hotstack-os-admin token issue
  tools/lab exec -- openstack --os-cloud hotstack-os-admin endpoint list
  tools/lab exec -- systemctl list-units 'hotstack-os*'
  tools/lab status; tools/lab logs keystone; tools/lab shell
  tools/lab reboot            everything comes back by itself
  tools/lab down --purge      nothing of it stays on this machine
"""


def working_tree(root: Path = ROOT) -> list[str]:
    """Return the files of the working tree: those that git tracks, or that are new and not ignored."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        raise LabError(f"{root} is no git checkout, so the files of the collection are not known.")
    names = sorted(set(listed.stdout.decode().split("\0")) - {""})
    return [name for name in names if (root / name).is_file() or (root / name).is_symlink()]


def pack(root: Path, names: list[str]) -> tuple[bytes, str]:
    """Return an archive of the files, and a digest of it that depends on names, modes and contents alone."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name in names:
            entry = archive.gettarinfo(str(root / name), arcname=name)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = "root"
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            if not entry.isreg():
                archive.addfile(entry)
                continue
            content = (root / name).read_bytes()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    packed = sink.getvalue()
    return packed, hashlib.sha256(packed).hexdigest()


def install(host: LabHost) -> None:
    """Bring the working tree into the lab host as an installed collection, unless it is there already."""
    host.require_running()
    packed, digest = pack(ROOT, working_tree())
    if host.podman.output("exec", host.paths.name, "cat", DIGEST) == digest:
        return
    command = ["exec", "--interactive", host.paths.name, "sh", "-c"]
    with host.phases.phase("build and install the collection"):
        done = host.podman.run(*command, INSTALL, data=packed, check=False)
        if done.returncode != 0:
            say((done.stdout + done.stderr).decode(errors="replace").strip())
            raise LabError("The collection could not be built and installed in the lab host.")
    host.provide_images()
    # Last, so that an interrupted run is repeated.
    host.podman.run(*command, f"cat > {DIGEST}", data=digest.encode())


def deploy(host: LabHost, playbook: str, options: list[str]) -> int:
    """Run a playbook of the collection in the lab host and return its exit status."""
    install(host)
    command = host.controller_command(["ansible-playbook", playbook, *options], workdir=SOURCE)
    say(f"==> ansible-playbook {' '.join([playbook, *options])}")
    start = time.monotonic()
    status = subprocess.run(command, env=host.podman.env, check=False).returncode
    if status == 0:
        host.phases.keep(f"ansible-playbook {playbook}", round(time.monotonic() - start, 1))
    if status == 0 and playbook == "hotstack.os.site" and not {"--check", "-C", "--list-tasks"} & set(options):
        say(NEXT.format(name=host.paths.name))
    elif status != 0:
        say(f"tools/lab: ansible-playbook ended with status {status}; its output above says why.")
    return status
