# SPDX-License-Identifier: Apache-2.0
"""Make the checkout importable as the collection it is: `ansible_collections.hotstack.os`.

This happens at import, before a test module or Ansible itself is imported, because both read the paths only once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from checkout import collections_tree  # noqa: E402

TREE = collections_tree(ROOT)
sys.path.insert(0, str(TREE))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)
