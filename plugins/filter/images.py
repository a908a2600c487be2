# SPDX-License-Identifier: Apache-2.0
"""The references of images, which follow from what they are made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.hotstack.os.plugins.module_utils import images as image_inputs


def image_references(images: image_inputs.Images, release: str, users: dict[str, int]) -> dict[str, str]:
    """Return the reference of each image by its name, or say which image is wrongly defined."""
    try:
        return image_inputs.image_references(images, release, users)
    except image_inputs.ImageError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters over the images."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"image_references": image_references}
