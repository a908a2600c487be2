# SPDX-License-Identifier: Apache-2.0
"""Taking the lab away again, so that the machine is as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lablib import before
from lablib.host import LabHost
from lablib.process import say


def down(host: LabHost, *, purge: bool) -> None:
    """Remove the lab host and its data; with `purge` also what all labs share, if no other lab is left."""
    if not host.paths.state.exists():
        say("There is no lab on this machine.")
        return
    if (host.paths.state / "containers.conf").exists():
        host.podman.configure()
    host.remove()
    others = sorted(path.name for path in (host.paths.state / "labs").glob("*"))
    if not purge:
        say("Images and downloads stay; tools/lab down --purge removes them too.")
    elif others:
        say(f"Images and downloads stay, because other labs use them: {', '.join(others)}.")
    else:
        with host.phases.phase("remove images, downloads and all else"):
            remove_shared(host)


def remove_shared(host: LabHost) -> None:
    """Remove everything that tools/lab made on this machine, but for the packages that it installed."""
    paths, podman = host.paths, host.podman
    installed = paths.state / "installed"
    packages = installed.read_text().split() if installed.exists() else []
    network = paths.network
    interface = json.loads(network.read_text())["network_interface"] if network else ""
    if (paths.state / "containers.conf").exists():
        podman.run("rm", "--all", "--force", "--time=5", check=False)
    podman.stop_holder()
    for mount in mounts_below(Path("/proc/self/mounts").read_text(), paths.state, paths.runtime):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    before.restore(paths, interface)
    shutil.rmtree(paths.runtime, ignore_errors=True)
    shutil.rmtree(paths.state)
    if packages:
        say(f"These packages were installed for the lab and stay: {' '.join(packages)}.")


def mounts_below(mounts: str, *tops: Path) -> list[str]:
    """Return the mount points below some folders, the innermost first."""
    points = [line.split()[1] for line in mounts.splitlines()]
    return [point for point in reversed(points) if any(Path(point).is_relative_to(top) for top in tops)]
