# SPDX-License-Identifier: Apache-2.0
"""The file with an application credential, by which programs of a lab find the cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

ID, SECRET = "application_credential_id", "application_credential_secret"
# What such a file begins with.
HEAD = "hotstack_cloud_secrets:"


def secret_text(auth_url: str, region: str, credential: Mapping[str, str]) -> str:
    """Return the text of the file."""
    texts = {"auth_url": auth_url, ID: credential["id"], SECRET: credential["secret"], "region_name": region}
    lines = [f"  {name}: {json.dumps(value)}" for name, value in texts.items()]
    fixed = ["  interface: internal", "  identity_api_version: 3", "  auth_type: v3applicationcredential"]
    return "\n".join(["---", HEAD, *lines, *fixed]) + "\n"


def known_credential(text: str) -> dict[str, str] | None:
    """Return the credential that such a file has, if it has a whole one."""
    found = {name: re.search(rf'^\s+{name}:\s*["\']?([\w-]+)["\']?\s*$', text, re.MULTILINE) for name in (ID, SECRET)}
    one, secret = found[ID], found[SECRET]
    return {"id": one[1], "secret": secret[1]} if one and secret else None
