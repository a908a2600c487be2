# SPDX-License-Identifier: Apache-2.0
"""What goes into an image, and which change gives it another reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hotstack.os.plugins.filter import images as images_filter
from ansible_collections.hotstack.os.plugins.module_utils import images

USERS = {"mysql": 42404, "keystone": 42411}
IMAGES: dict[str, dict[str, Any]] = {
    "keystone": {"parent": "openstack", "users": ["keystone"]},
    "openstack": {"parent": "base", "files": ["locks/2025.2.txt"]},
    "infra": {"parent": "base", "users": ["mysql"]},
    "base": {"arguments": {"suite": "trixie"}},
}


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    """Make a folder of containerfiles."""
    for image in IMAGES:
        (tmp_path / image).mkdir()
        (tmp_path / image / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "2025.2.txt").write_text("nova==32.2.1\n")
    (tmp_path / "keystone" / "bin").mkdir()
    (tmp_path / "keystone" / "bin" / "bootstrap").write_text("#!/bin/sh\n")
    return tmp_path


def references(root: Path, release: str = "2025.2", users: dict[str, int] | None = None) -> dict[str, str]:
    """Return the references that the folder gives."""
    return images.image_references(IMAGES, release, users or USERS, str(root))


def test_reference_names_image_release_and_digest(root: Path) -> None:
    """Every image has a reference, whose digest is twelve digits of the whole."""
    definitions = images.image_definitions(IMAGES, "2025.2", USERS, str(root))
    assert list(definitions) == ["base", "infra", "openstack", "keystone"]
    for name, line in definitions.items():
        assert line["reference"] == f"localhost/hotstack-os-{name}:2025.2-{line['digest'][:12]}"
    assert definitions["keystone"]["parent"] == definitions["openstack"]["reference"]
    assert definitions["openstack"]["files"] == {"Containerfile": "FROM scratch\n", "2025.2.txt": "nova==32.2.1\n"}
    assert sorted(definitions["keystone"]["files"]) == ["Containerfile", "bin/bootstrap"]


def write(path: str, text: str) -> Callable[[Path], None]:
    """Return what writes a file of the folder."""

    def change(root: Path) -> None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        pytest.param(write("base/Containerfile", "FROM x"), {"base", "infra", "openstack", "keystone"}, id="parent"),
        pytest.param(write("infra/Containerfile", "FROM other"), {"infra"}, id="containerfile"),
        pytest.param(write("infra/new", ""), {"infra"}, id="new file"),
        pytest.param(write("keystone/bin/bootstrap", "exit 1"), {"keystone"}, id="file in a folder"),
        pytest.param(write("locks/2025.2.txt", "nova==1"), {"openstack", "keystone"}, id="lock"),
        pytest.param(write("locks/2026.1.txt", "nova==1"), set(), id="other lock"),
        pytest.param(write("infra/.hidden", ""), set(), id="hidden"),
        pytest.param(write("infra/__pycache__/a.pyc", ""), set(), id="compiled"),
    ],
)
def test_what_changes_a_reference(root: Path, change: Callable[[Path], None], changed: set[str]) -> None:
    """An image is named anew exactly when it, or an ancestor, would be built from something else."""
    before = references(root)
    change(root)
    after = references(root)
    assert {name for name in before if before[name] != after[name]} == changed


def test_release_users_and_arguments_change_a_reference(root: Path) -> None:
    """Settings count where an image depends on them."""
    before = references(root)
    assert not set(references(root, release="2026.1").values()) & set(before.values())
    after = references(root, users={**USERS, "mysql": 999})
    assert [name for name in before if before[name] != after[name]] == ["infra"]
    other = {**IMAGES, "base": {"arguments": {"suite": "forky"}}}
    assert images.image_references(other, "2025.2", USERS, str(root))["keystone"] != before["keystone"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a": {"parent": "b"}, "b": {"parent": "a"}}, "its own ancestor"),
        ({"infra": {"parent": "bse"}}, "Image infra has the parent bse, which is none of infra."),
        ({"infra": {"users": ["mysq"]}}, "Image infra has the user mysq, which is none of keystone, mysql."),
        ({"infra": {"files": ["locks/1.txt"]}}, "1.txt, which does not exist."),
        ({"missing": {}}, "Image missing has no "),
    ],
)
def test_wrong_definitions(root: Path, wrong: dict[str, Any], message: str) -> None:
    """What cannot be built is named."""
    with pytest.raises(images.ImageError, match=message):
        images.image_references(wrong, "2025.2", USERS, str(root))


def test_filter() -> None:
    """The filter reads this collection's own folder and turns errors into its own kind."""
    image_references = images_filter.FilterModule().filters()["image_references"]
    assert set(image_references({"base": {}}, "2025.2", USERS)) == {"base"}
    with pytest.raises(AnsibleFilterError, match="Image nothing has no"):
        image_references({"nothing": {}}, "2025.2", USERS)
