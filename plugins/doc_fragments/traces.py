# SPDX-License-Identifier: Apache-2.0
"""What modules that look for a deployment on a host say about its traces."""

from __future__ import annotations


class ModuleDocFragment:
    """The option that module_utils/removal_spec.py reads."""

    DOCUMENTATION = r"""
options:
  traces:
    description: What a deployment has on the host, as C(hotstack_os_traces) of the role settings says.
    type: dict
    required: true
    suboptions:
      record_file:
        description: The file that keeps what was there before.
        type: path
        required: true
      user:
        description: The user of the guests.
        type: str
        required: true
      home:
        description: Its home.
        type: path
        required: true
      network:
        description: The podman network.
        type: str
        required: true
      subnet:
        description: The addresses of that network.
        type: str
        required: true
      bridges:
        description: The bridges; the last one has the host's addresses.
        type: list
        elements: str
        required: true
      addresses:
        description: Those addresses.
        type: list
        elements: str
        required: true
      data_dirs:
        description: The folders of data; the first one holds the record.
        type: list
        elements: path
        required: true
      mounts_dir:
        description: The folder in which Nova mounts volumes.
        type: path
        required: true
      build_cache:
        description: The folder in which builds of images keep their downloads.
        type: path
        required: true
      base_image:
        description: The image that ours are made from.
        type: str
        required: true
"""
