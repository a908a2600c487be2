# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_texts

BLOCK = "# BEGIN hotstack.os\n2 b\n# END hotstack.os\n"
CLOUD = "  # BEGIN hotstack.os\n  a:\n  # END hotstack.os\n"
OTHER_PART = "  # BEGIN hotstack.os post_setup\n  b:\n  # END hotstack.os post_setup\n"


@pytest.mark.parametrize(
    ("path", "text", "former", "after"),
    [
        ("/etc/hosts", f"1 a\n{BLOCK}", None, "1 a\n"),
        ("/etc/hosts", f"1 a\n{BLOCK}3 c\n", "1 a", "1 a\n3 c\n"),
        ("/etc/hosts", f"1 a\n{BLOCK}", "1 a", "1 a"),
        ("/etc/hosts", BLOCK, None, ""),
        ("/etc/openstack/clouds.yaml", f"---\nclouds:\n{CLOUD}{OTHER_PART}", None, None),
        ("/etc/openstack/clouds.yaml", f"---\nclouds:\n{CLOUD}", "clouds: {}\n", "clouds: {}\n"),
        ("/etc/openstack/clouds.yaml", f"clouds:\n  x:\n    y: 1\n{CLOUD}", None, "clouds:\n  x:\n    y: 1\n"),
        ("/etc/openstack/clouds.yaml", f"clouds:\n{CLOUD}  x:\n    y: 1\n", "# a\n", "clouds:\n  x:\n    y: 1\n"),
    ],
    ids=["hosts", "line since", "end of line", "empty", "ours alone", "no clouds", "unrecorded", "cloud since"],
)
def test_shared_file_loses_our_lines_alone(path: str, text: str, former: str | None, after: str | None) -> None:
    known = None if former is None else {"mode": "0644", "uid": 0, "gid": 0, "content": former}
    assert removal_texts.shared_text(path, text, known) == after
