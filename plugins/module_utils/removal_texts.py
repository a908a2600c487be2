# SPDX-License-Identifier: Apache-2.0
"""What files that others use too become without our lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import clouds
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import HOSTS, HOSTS_MARKS


def without_block(text: str, begin: str, end: str) -> str:
    """Return a text without the lines from one mark to the other."""
    return re.sub(rf"^[ \t]*{re.escape(begin)}[ \t]*$.*?^[ \t]*{re.escape(end)}[ \t]*$\n?", "", text, flags=re.M | re.S)


def without_clouds(text: str) -> str:
    """Return the text of a clouds.yaml without any part of ours."""
    return re.sub(
        rf"^[ ]*{re.escape(clouds.BEGIN)}(?P<part>[^\n]*)$.*?^[ ]*{re.escape(clouds.END)}(?P=part)$\n?",
        "",
        text,
        flags=re.M | re.S,
    )


def bare(path: str, text: str) -> str:
    """Return what a shared file says without what we add to make room for our lines."""
    lines = text.splitlines()
    if path.endswith("clouds.yaml"):
        lines = [re.sub(r"^clouds:\s*(\{\s*\}|null|~)?", "clouds:", line).rstrip() for line in lines if line != "---"]
        lines = [] if lines == ["clouds:"] else lines
    return "\n".join(lines).strip("\n")


def shared_text(path: str, text: str, former: Mapping[str, Any] | None) -> str | None:
    """Return a shared file's text without our lines, as it was where nothing else changed; None if nothing is left."""
    rest = without_block(text, *HOSTS_MARKS) if path == HOSTS else without_clouds(text)
    if former is not None and bare(path, former.get("content", "")) == bare(path, rest):
        return str(former.get("content", ""))
    return rest if former is not None or bare(path, rest) or path == HOSTS else None
