# SPDX-License-Identifier: Apache-2.0
"""The controller's half of `container_images`: it reads containerfiles/, and shows how the builds get on."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.module_utils import images as inputs
from ansible_collections.hotstack.os.plugins.plugin_utils import progress

MODULE = "hotstack.os.container_images"
SETTINGS = (
    "hotstack_os_images",
    "hotstack_os_users",
    "hotstack_os_release",
    "hotstack_os_data_dir",
    "hotstack_os_build_cache_dir",
    "hotstack_os_build_parallel",
    "hotstack_os_build_proxy",
    "hotstack_os_ca_bundle",
    "hotstack_os_package_mirror",
    "hotstack_os_python_index",
    "hotstack_os_base_image_source",
    "hotstack_os_base_image",
    "hotstack_os_base_suite",
)


def with_parents(definitions: dict[str, dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Return the definitions of these images and of those that they extend, parents first."""
    unknown = [name for name in names if name not in definitions]
    if unknown:
        raise AnsibleActionFail(f"There is no image {unknown[0]}; there are {', '.join(sorted(definitions))}.")
    wanted = {definitions[name]["reference"] for name in names}
    for line in reversed(list(definitions.values())):
        if line["reference"] in wanted and line["parent"]:
            wanted.add(line["parent"])
    return [line for line in definitions.values() if line["reference"] in wanted]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Build the images that are missing, and say how it goes."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset(("names", "prune"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask what is missing; only if something is, send the build contexts and build."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        lacking = [name for name in SETTINGS if name not in variables]
        if lacking:
            raise AnsibleActionFail(
                f"{lacking[0]} is not defined: the calling role must list hotstack.os.settings"
                " under dependencies in its meta/main.yml."
            )
        settings = {name: self._templar.template(variables[name]) for name in SETTINGS}
        try:
            definitions = inputs.image_definitions(
                settings["hotstack_os_images"], settings["hotstack_os_release"], settings["hotstack_os_users"]
            )
        except inputs.ImageError as error:
            raise AnsibleActionFail(str(error)) from error
        wanted = with_parents(definitions, self._task.args.get("names") or list(definitions))
        arguments = self.module_arguments(settings, definitions)

        short = [{key: value for key, value in line.items() if key != "files"} for line in wanted]
        result.update(self._execute_module(MODULE, {**arguments, "images": short}, task_vars=variables))
        if result.get("failed") or not result["missing"] or self._task.check_mode:
            return self.summarised(result)

        folder, missing = arguments["folder"], ", ".join(result["missing"])
        progress.show(f"Building {missing}; the logs are {folder}/<image>.log")
        started = self._execute_module(
            MODULE, {**arguments, "prune": False, "images": wanted, "build": True}, task_vars=variables
        )
        result.update({key: started[key] for key in ("failed", "msg", "exception") if key in started})
        if "run" in started:
            result.update(progress.follow(self, started["run"], "build"))
        return self.summarised(result)

    def module_arguments(self, settings: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
        """Return what the module needs of the settings."""
        return {
            "prune": self._task.args.get("prune", False),
            "references": [line["reference"] for line in definitions.values()],
            "folder": f"{settings['hotstack_os_data_dir']}/runtime/build",
            "cache": settings["hotstack_os_build_cache_dir"],
            "parallel": settings["hotstack_os_build_parallel"],
            "proxy": settings["hotstack_os_build_proxy"],
            "ca_bundle": settings["hotstack_os_ca_bundle"],
            "package_mirror": settings["hotstack_os_package_mirror"],
            "python_index": settings["hotstack_os_python_index"],
            "base": {
                "source": settings["hotstack_os_base_image_source"],
                "image": settings["hotstack_os_base_image"],
                "suite": settings["hotstack_os_base_suite"],
            },
        }

    def summarised(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add a sentence that says what was done."""
        if not result.get("failed"):
            verb = "would be built" if self._task.check_mode else "built"
            missing = ", ".join(result["missing"])
            result["msg"] = (
                f"Images {verb}: {missing}." if missing else "All images are there already; nothing was built."
            )
        return result
