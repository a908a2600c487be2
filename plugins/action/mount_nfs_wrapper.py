# SPDX-License-Identifier: Apache-2.0
"""The controller's half of `mount_nfs_wrapper`, which is that of `qemu_img_wrapper`."""

from __future__ import annotations

from ansible_collections.hotstack.os.plugins.action.qemu_img_wrapper import ActionModule

__all__ = ["ActionModule"]
