# SPDX-License-Identifier: Apache-2.0
"""Where the tools of this checkout keep what they make: outside the tree, which ansible-test checks whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cache_dir() -> Path:
    """Return the folder for everything that can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hotstack-os"


def collections_tree(root: Path) -> Path:
    """Return a folder in which ansible_collections/hotstack/os is a link to the checkout at `root`."""
    if root.parts[-3:] == ("ansible_collections", "hotstack", "os"):
        return root.parents[2]
    tree = cache_dir() / "collections" / hashlib.sha256(str(root).encode()).hexdigest()[:12]
    link = tree / "ansible_collections" / "hotstack" / "os"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != root:
        # Another test process may do the same at this moment, so the link appears in one step.
        fresh = link.with_name(f"os.{os.getpid()}")
        fresh.symlink_to(root)
        fresh.replace(link)
    return tree


def build_collection(folder: Path) -> Path:
    """Build the collection's artifact into `folder` and return it."""
    command = ["ansible-galaxy", "collection", "build", "--force", "--output-path", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("hotstack-os-*.tar.gz"))


def install_collection(artifact: Path, folder: Path) -> Path:
    """Install the artifact alone below `folder` and return the collection's folder."""
    command = [
        "ansible-galaxy",
        "collection",
        "install",
        "--no-deps",
        "--force",
        "--offline",
        "-p",
        str(folder),
        str(artifact),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "ansible_collections/hotstack/os"


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the checkout that git has or would take, relative to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in sorted(set(listing.split("\0"))) if name and (ROOT / name).is_file()]


def scripts(interpreter: str) -> list[Path]:
    """Return the programs without the ending of their language that this interpreter runs."""
    first_lines = (f"#!/usr/bin/env {interpreter}", f"#!/usr/bin/{interpreter}")
    found = []
    for path in tracked():
        if path.suffix not in {".py", ".sh"} and not (ROOT / path).is_symlink():
            with (ROOT / path).open("rb") as file:
                if file.readline().decode(errors="replace").strip().startswith(first_lines):
                    found.append(path)
    return found
