# SPDX-License-Identifier: Apache-2.0
"""Where the tools of this checkout keep what they make: outside the tree, which ansible-test checks whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


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
