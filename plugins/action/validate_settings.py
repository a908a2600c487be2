# SPDX-License-Identifier: Apache-2.0
"""The whole of `validate_settings`: it reads the collection on the controller and needs no host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.module_utils import settings

COLLECTION = Path(__file__).resolve().parents[2]


def load(path: Path) -> dict[str, Any]:
    """Return what a YAML file of the collection holds."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}  # noqa: S506


def shipped(collection: Path) -> settings.Shipped:
    """Return what the collection in this folder brings."""
    role = collection / "roles" / "settings"
    derived: dict[str, Any] = {}
    for path in sorted((role / "vars").rglob("*.yml")):
        derived.update(load(path))
    layers: dict[str, Any] = {}
    for path in sorted(collection.glob("roles/*/meta/argument_specs.yml")):
        if path.parents[1] != role:
            layers.update(load(path)["argument_specs"]["main"].get("options", {}))
    return settings.Shipped(
        options=load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"],
        derived=frozenset(derived),
        services=load(role / "defaults" / "main" / "services.yml")["hotstack_os_services"],
        releases=tuple(sorted(path.stem for path in (collection / "containerfiles" / "locks").glob("*.txt"))),
        credential_names=tuple(derived["hotstack_os_credential_names"]),
        fixed_credentials=tuple(derived["hotstack_os_credentials_fixed"]),
        interfaces=(derived["hotstack_os_network_name"],),
        home=derived["hotstack_os_home"],
        layers=layers,
    )


def plain(value: Any) -> Any:
    """Return a value with its encrypted parts as texts; before ansible-core 2.19 they are objects of their own."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return str(value) if hasattr(value, "_ciphertext") and not isinstance(value, str) else value


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fail with all that is wrong with the settings, before anything is done."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the settings as this host sees them."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        own = shipped(COLLECTION)
        values: dict[str, Any] = {}
        found: list[str] = []
        for name in (*own.options, *own.layers):
            if name in variables:
                try:
                    values[name] = plain(self._templar.template(variables[name]))
                except AnsibleError:
                    found.append(f"{name} refers to something that is not defined, but must be a value.")
        found += settings.problems(values, variables, own)
        result.update(changed=False, problems=found)
        if found:
            count = "A setting is" if len(found) == 1 else f"{len(found)} settings are"
            result.update(failed=True, msg="\n- ".join([f"{count} not usable; nothing was changed.", *found]))
        return result
