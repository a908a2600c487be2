# SPDX-License-Identifier: Apache-2.0
"""No secret of the deployment appears where another user, or a bug report, would show it."""

from __future__ import annotations

import pytest
from lab import Lab

# Runs in the lab host, so that the secrets stay there; it prints the names of what it found.
SEARCH = r"""
import glob, json, subprocess, sys

where = sys.argv[1]
with open("/var/lib/hotstack-os/credentials.json") as file:
    secrets = {name: str(value).encode() for name, value in json.load(file).items()}

def output(*command, **options):
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout

def environments():
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                yield file.read()
        except OSError:
            pass

def names(kind):
    return output("podman", kind, "--all" if kind == "ps" else "--quiet", "--quiet").decode().split()

if where == "processes":
    text = output("ps", "-eww", "-o", "args")
elif where == "environments":
    text = b"\n".join(environments())
elif where == "podman":
    text = output("podman", "inspect", *names("ps")) + output("podman", "image", "inspect", *names("images"))
elif where == "units":
    text = output("systemctl", "cat", "hotstack-os*") + output("systemctl", "show", "hotstack-os*")
elif where == "journal":
    text = output("journalctl", "--no-pager", "--output=export")
else:
    # What the user nobody can read. The patterns come by standard input, for arguments would show in ps.
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "grep", "-rsaoFf", "-", "--no-messages"]
    command += ["--devices=skip", "/etc", "/home", "/opt/hotstack-os", "/root", "/run", "/srv", "/tmp"]
    command += ["/usr/local", "/var"]
    text = output(*command, input=b"\n".join(secrets.values()), cwd="/")
lines = [line.decode(errors="replace").split(":")[0] for line in text.splitlines()] if where == "files" else []
found = sorted(name for name, value in secrets.items() if value in text)
print(json.dumps({"secrets": len(secrets), "searched": len(text), "found": found, "files": sorted(set(lines))}))
"""

PLACES = ["processes", "environments", "podman", "units", "journal", "files"]


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_in(deployed: Lab, place: str) -> None:
    """Search one place for each secret."""
    answer = deployed.python(SEARCH, place)
    assert answer["secrets"] > 10
    assert place == "files" or answer["searched"] > 100
    assert not answer["found"], answer


def test_files_of_secrets(deployed: Lab) -> None:
    """Look at the files that hold secrets on purpose."""
    for path in ("/var/lib/hotstack-os/credentials.json", "/etc/openstack/clouds.yaml"):
        assert deployed.run("stat", "--format=%a %U:%G", path).strip() == "600 root:root"
