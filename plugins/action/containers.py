# SPDX-License-Identifier: Apache-2.0
"""The controller's half of the engine: it checks the definitions and renders units and configuration."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.module_utils import apparmor, credentials, time_factor
from ansible_collections.hotstack.os.plugins.module_utils import container_spec as spec
from ansible_collections.hotstack.os.plugins.module_utils import container_text as text

try:  # since ansible-core 2.19 a text must be marked before it is taken for a template
    from ansible.template import trust_as_template
except ImportError:
    trust_as_template = None

TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")

# What the engine itself reads of roles/settings.
SETTINGS = (
    "hotstack_os_services",
    "hotstack_os_users",
    "hotstack_os_images",
    "hotstack_os_config_dir",
    "hotstack_os_stamps_dir",
    "hotstack_os_credentials_file",
    "hotstack_os_credential_names",
    "hotstack_os_credentials_given",
    "hotstack_os_credentials_renew",
    "hotstack_os_time_factor",
)

Variables = dict[str, Any]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Render what the containers need, and hand it to the module of the same name."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Variables:
        """Render, run the module once and return its result."""
        result: Variables = super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        secrets: list[str] = []
        try:
            texts = self._texts(variables, secrets)
        except (AnsibleError, ValueError) as error:
            return {**result, "failed": True, "msg": text.mask(str(error), secrets)}
        arguments = {key: value for key, value in self._task.args.items() if value is not None}
        arguments["texts"] = json.dumps(texts)
        return {
            **result,
            **self._execute_module(module_name="hotstack.os.containers", module_args=arguments, task_vars=task_vars),
        }

    def _texts(self, variables: Variables, secrets: list[str]) -> Variables:
        """Return everything that the module needs; the secrets that occur in it are added to `secrets`."""
        arguments = self._checked_arguments()
        self._resolve_settings(variables)
        definitions = arguments["containers"]
        texts: Variables = {
            "config_dir": variables["hotstack_os_config_dir"],
            "stamps_dir": variables["hotstack_os_stamps_dir"],
            "needs": {name: line.get("needs", []) for name, line in variables["hotstack_os_services"].items()},
            "containers": [],
            "time_factor": self._time_factor(variables["hotstack_os_time_factor"]),
            "secrets": secrets,
        }
        if arguments["state"] == "absent":
            problems = spec.problems_of_absent(definitions)
        elif not definitions:
            problems = ["containers is missing: which containers should run?"]
        else:
            problems = spec.problems_of(
                definitions,
                variables["hotstack_os_services"],
                variables["hotstack_os_images"],
                variables["hotstack_os_users"],
            )
        if problems:
            raise AnsibleError("\n".join(problems))
        if arguments["state"] == "present":
            variables["hotstack_os_credentials"] = self._credentials(variables, secrets)
            variables["apparmor_option"] = self._apparmor_option()
            variables["hotstack_os_time_factor"] = texts["time_factor"]
            texts["containers"] = [self._container(definition, variables) for definition in definitions]
        return texts

    def _checked_arguments(self) -> Variables:
        """Return the task's arguments, typed and with their defaults."""
        checked = ArgumentSpecValidator(spec.ARGUMENT_SPEC).validate(self._task.args)
        if checked.error_messages:
            raise AnsibleError("\n".join(checked.error_messages))
        arguments: Variables = checked.validated_parameters
        return arguments

    def _resolve_settings(self, variables: Variables) -> None:
        """Compute the settings once, rather than again in each template that uses them."""
        missing = [name for name in SETTINGS if name not in variables]
        if missing:
            raise AnsibleError(
                f"{missing[0]} is not defined: the calling role must list hotstack.os.settings"
                " under dependencies in its meta/main.yml."
            )
        for name in [name for name in variables if name.startswith("hotstack_os_")]:
            try:
                variables[name] = self._templar.template(variables[name])
            except AnsibleError:
                if name in SETTINGS:
                    raise

    def _time_factor(self, setting: Any) -> int:
        """Return what timeouts are multiplied with on the target host; 1 if it has not been measured yet."""
        known = None
        if str(setting) == time_factor.AUTO:
            known = time_factor.parse(self._low_level_execute_command(f"cat {time_factor.FILE} || true")["stdout"])
        return time_factor.decide(str(setting), known, lambda: 1).factor

    def _credentials(self, variables: Variables, secrets: list[str]) -> Variables:
        """Return the secrets of the target host by name; those to be hidden are added to `secrets`."""
        path = variables["hotstack_os_credentials_file"]
        quoted = shlex.quote(path)
        answer = self._low_level_execute_command(f"if test -e {quoted}; then cat {quoted}; fi")
        if answer["rc"] != 0:
            raise AnsibleError(f"Cannot read the credentials in {path}: {answer['stderr'].strip()}")
        try:
            found: Variables = json.loads(answer["stdout"].strip() or "{}")
        except ValueError:
            raise AnsibleError(f"The credentials in {path} are no JSON.") from None
        secrets += [str(secret) for secret in found.values()]
        if self._task.check_mode:  # the file would have others by now
            given = {name: str(secret) for name, secret in variables["hotstack_os_credentials_given"].items()}
            secrets += given.values()
            names, renew = variables["hotstack_os_credential_names"], variables["hotstack_os_credentials_renew"]
            found = credentials.foreseen(found, names, given, renew)
        return found

    def _apparmor_option(self) -> str:
        """Return podman's option that names the profile of the containers; empty where AppArmor is not enabled."""
        return apparmor.OPTION if self._low_level_execute_command(apparmor.TEST)["rc"] == 0 else ""

    def _render(self, source: str, variables: Variables) -> str:
        """Return a template's text; it finds others beside it, in its role and beside the unit's template."""
        with open(source, encoding="utf-8") as stream:
            template = stream.read()
        searchpath = [os.path.dirname(source)]
        for path in variables.get("ansible_search_path", []):
            searchpath += [os.path.join(path, "templates"), path]
        templar = self._templar.copy_with_new_env(searchpath=[*searchpath, TEMPLATES], available_variables=variables)
        try:
            if trust_as_template:
                return str(templar.template(trust_as_template(template), escape_backslashes=False))
            return str(templar.do_template(template, escape_backslashes=False))
        except AnsibleError as error:
            path = variables["hotstack_os_credentials_file"]
            hint = "" if variables["hotstack_os_credentials"] else f" (There is no {path} on the host.)"
            raise AnsibleError(f"Cannot render {source}: {error}{hint}") from error

    def _source(self, name: str) -> str:
        """Return where a template is: beside the unit's, if roles share that file, otherwise in the calling role."""
        shared = os.path.join(TEMPLATES, name)
        return shared if os.path.exists(shared) else str(self._find_needle("templates", name))

    def _container(self, definition: Variables, variables: Variables) -> Variables:
        """Return what the module needs of one container."""
        name = definition["name"]
        service = variables["hotstack_os_services"][name]
        owner = variables["hotstack_os_users"].get(definition["user"], 0)
        scope = {**variables, "container": definition, "service": service}
        files = []
        for file in definition["config"]:
            content = self._render(self._source(file["src"]), scope)
            files.append(
                {
                    "path": f"{variables['hotstack_os_config_dir']}/{name}/{os.path.basename(file['dest'])}",
                    "dest": file["dest"],
                    "content": content,
                    "mode": int(file["mode"], 8),
                    "gid": owner,
                }
            )
        stamp = f"{variables['hotstack_os_stamps_dir']}/{name}-" if service.get("one_shot") else None
        scope |= {
            "digest": text.DIGEST_PLACEHOLDER,
            "files": [{**file, "digest": text.digest(str(file["mode"]), file["content"])} for file in files],
            "more": {section: spec.unit_lines(definition, section) for section in spec.UNIT_SECTIONS},
            "network": spec.network_of(definition, service),
            "stamp": stamp and stamp + text.DIGEST_PLACEHOLDER,
            "former_stamps": stamp and stamp + "?" * text.DIGEST_LENGTH,
        }
        unit, digest = text.seal(self._render(os.path.join(TEMPLATES, "container.j2"), scope))
        return {
            "name": name,
            "unit": unit,
            "digest": digest,
            "image": variables["hotstack_os_image_references"][definition["image"]],
            "config": [{key: file[key] for key in ("path", "content", "mode", "gid")} for file in files],
            "directories": [
                {"path": each["path"], "mode": int(each["mode"], 8), "uid": owner, "gid": owner}
                for each in definition["directories"]
            ],
            "start_timeout": definition["start_timeout"] * variables["hotstack_os_time_factor"],
            "stamp": stamp and stamp + digest,
        }
