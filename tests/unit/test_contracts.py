# SPDX-License-Identifier: Apache-2.0
"""What the parts of the collection promise each other: map, roles, templates, images, specs and documents."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.module_utils import (
    cloud_secrets,
    clouds,
    container_spec,
    removal_traces,
    services,
    settings,
    status_readers,
    status_report,
)

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
SHARED = re.compile(r"\bhotstack_os_[a-z0-9_]*[a-z0-9]\b")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def data(role: Path, kind: str) -> dict[str, Any]:
    """Return all variables in defaults or vars of a role."""
    found: dict[str, Any] = {}
    for path in sorted((role / kind).rglob("*.yml")):
        found.update(load(path) or {})
    return found


def specs(role: Path) -> dict[str, Any]:
    found = load(role / "meta" / "argument_specs.yml") or {"argument_specs": {}}
    return dict(found["argument_specs"])


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Return the files with one of these suffixes, of all that makes a deployment."""
    for folder in ("roles", "playbooks", "inventory", "molecule", "plugins"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes:
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


SETTINGS = ROOT / "roles" / "settings"
DEFAULTS = data(SETTINGS, "defaults")
DERIVED = data(SETTINGS, "vars")
MAP: dict[str, Any] = DEFAULTS["hotstack_os_services"]
IMAGES: dict[str, Any] = DERIVED["hotstack_os_images"]
CONTAINERS = [
    (role, container)
    for role in ROLES
    for name, value in data(role, "vars").items()
    if name == f"{role.name}_containers"
    for container in value
]

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
each_container = pytest.mark.parametrize(
    ("role", "container"), CONTAINERS, ids=[container["name"] for _role, container in CONTAINERS]
)


# --- the map


def test_map_is_sound() -> None:
    """Needs exist and have no cycle; addresses and ports are unique; every key is known."""
    assert services.service_problems(MAP, MAP, DEFAULTS["hotstack_os_container_network"]) == []


def test_map_has_all_services() -> None:
    lasting = [name for name, line in MAP.items() if not line.get("one_shot")]
    # The 23 of the contract with existing users, and two workers that Neutron needs beside an API under uWSGI.
    assert len(lasting) == 25


def test_no_need_is_named_twice() -> None:
    for name, line in MAP.items():
        assert len(set(line.get("needs", []))) == len(line.get("needs", [])), name


# --- containers


def test_containers_have_one_role() -> None:
    names = Counter(container["name"] for _role, container in CONTAINERS)
    assert [name for name, count in names.items() if count > 1] == []


@each_container
def test_container_is_on_the_map(role: Path, container: dict[str, Any]) -> None:
    assert container["name"] in MAP


@each_container
def test_container_has_image_and_user(role: Path, container: dict[str, Any]) -> None:
    assert container["image"] in IMAGES
    if "user" in container:
        assert container["user"] in DERIVED["hotstack_os_users"]
        assert container["user"] in image_users(container["image"])


def image_users(name: str) -> list[str]:
    """Return the users of an image and of those that it extends."""
    line = IMAGES[name]
    return [*line.get("users", []), *(image_users(line["parent"]) if "parent" in line else [])]


@each_container
def test_container_says_when_it_is_healthy(role: Path, container: dict[str, Any]) -> None:
    assert ("health" in container) != MAP[container["name"]].get("one_shot", False)


# Who has all rights on the host, and who has some: each more is a decision, and this list is a part of it.
PRIVILEGED = {"nova-compute", "neutron-ovn-agent"}
CAPABILITIES = {"ovn-controller": ["DAC_OVERRIDE"], "dnsmasq": ["NET_BIND_SERVICE"]}


def test_containers_have_few_rights() -> None:
    containers = [container for _role, container in CONTAINERS]
    assert {line["name"] for line in containers if "privileged" in line} == PRIVILEGED
    assert {line["name"]: line["capabilities"] for line in containers if "capabilities" in line} == CAPABILITIES
    # As root run only those, and one whose driver wants it and that has no capability.
    assert {line["name"] for line in containers if "user" not in line} == {
        *PRIVILEGED,
        "ovn-controller",
        "cinder-volume",
    }
    # Another way to the same rights.
    more = {
        (line["name"], f"{key}={value}")
        for line in containers
        for key, value in line.get("unit", {}).get("Container", {}).items()
    }
    assert more == {
        ("cinder-volume", "PodmanArgs=--umask=0002"),
        ("haproxy", "PodmanArgs=--stop-signal=SIGUSR1"),
        ("neutron-ovn-agent", "User=0"),
        ("nova-compute", "PodmanArgs=--umask=0002"),
        ("ovn-controller", "SecurityLabelDisable=true"),
    }


@each_container
def test_selinux_lets_containers_have_their_folders(role: Path, container: dict[str, Any]) -> None:
    section = container.get("unit", {}).get("Container", {})
    free = "privileged" in container or section.get("SecurityLabelDisable") == "true"
    volumes = container.get("volumes", [])
    assert free or all(line.rpartition(":")[2] == "z" for line in volumes)


@each_container
def test_only_bridge_containers_have_an_address(role: Path, container: dict[str, Any]) -> None:
    line = MAP[container["name"]]
    network = container_spec.network_of({"network": None, **container}, line)
    assert ("address" in line) == (network == "bridge" and not line.get("one_shot", False))


@each_role
def test_templates_are_there_and_used(role: Path) -> None:
    folder = role / "templates"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sources = [path for kind in ("tasks", "vars", "defaults", "handlers") for path in (role / kind).rglob("*.yml")]
    text = "\n".join(path.read_text() for path in sources) + "\n".join(
        path.read_text() for path in folder.rglob("*") if path.is_file()
    )
    named = set(re.findall(r"['\" ]([\w./-]+\.j2)\b", text))
    shared = {path.name for path in (ROOT / "plugins/action/templates").iterdir()}
    assert there & shared == set(), "there, but the shared one is used"
    assert named - there - shared == set(), "named, but missing"
    assert {name for name in there if name not in text and Path(name).stem not in text} == set(), "there, but unused"


# --- images


@pytest.mark.parametrize("name", IMAGES)
def test_image_is_there(name: str) -> None:
    assert (ROOT / "containerfiles" / name / "Containerfile").exists() or list(
        (ROOT / "containerfiles" / name).glob("Containerfile*")
    )
    assert IMAGES[name].get("parent", "base") in IMAGES
    assert set(IMAGES[name].get("users", [])) <= set(DERIVED["hotstack_os_users"])


def test_default_release_has_a_lock() -> None:
    assert (ROOT / "containerfiles" / "locks" / f"{DEFAULTS['hotstack_os_release']}.txt").exists()


def test_user_ids_are_unique() -> None:
    ids = list(DERIVED["hotstack_os_users"].values())
    assert len(set(ids)) == len(ids)


# --- roles


@each_role
def test_role_is_complete(role: Path) -> None:
    for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml"):
        assert (role / name).exists(), name
    assert "main" in specs(role)
    meta = load(role / "meta" / "main.yml")
    assert meta["galaxy_info"]["description"]
    # These two are the settings, and who reports all that is wrong with them at once.
    if role.name not in ("settings", "preflight"):
        names = [need if isinstance(need, str) else need["role"] for need in meta["dependencies"]]
        assert "hotstack.os.settings" in names


@each_role
def test_defaults_and_spec_agree(role: Path) -> None:
    defaults = data(role, "defaults")
    options: dict[str, Any] = {}
    for entry in specs(role).values():
        options.update(entry.get("options", {}))
    optional = {name for name, option in options.items() if not option.get("required")}
    known = set(defaults) | set(data(role, "vars"))
    assert set(defaults) - set(options) == set(), "defaults without a spec"
    assert optional - known == set(), "optional, but without a default"
    for name, option in options.items():
        assert option.get("description"), f"{name} has no description"
        assert option.get("type"), f"{name} has no type"
        if "default" in option:
            assert option["default"] == defaults[name], name
        if name in defaults and "{{" not in str(defaults[name]):
            value, allowed = settings.typed(option, defaults[name])
            assert allowed is None, f"{name}: {allowed}"
            assert value == defaults[name], f"{name} is written in another type"


@each_role
def test_variables_have_their_prefix(role: Path) -> None:
    prefix = "hotstack_os_" if role.name == "settings" else role.name + "_"
    names = {*data(role, "defaults"), *data(role, "vars")}
    assert [name for name in sorted(names) if not name.startswith((prefix, "__" + prefix))] == []


@each_role
def test_every_default_has_a_comment_nearby(role: Path) -> None:
    for path in (role / "defaults").rglob("*.yml"):
        for block in re.split(r"\n\s*\n", path.read_text().partition("---\n")[2]):
            names = re.findall(r"^[a-z_]+:", block, re.MULTILINE)
            plain = {"hotstack_os_region:", "hotstack_os_integration_bridge:"}
            assert not names or block.lstrip().startswith("#") or names[0] in plain, f"{path.name}: {names}"


def test_layers_of_the_site_exist() -> None:
    layers = [role for play in load(ROOT / "playbooks" / "site.yml") for role in play.get("roles", [])]
    assert layers[0] == "hotstack.os.preflight"
    assert {layer.rpartition(".")[2] for layer in layers} <= {role.name for role in ROLES}


@each_role
def test_roles_that_name_the_host_see_that_it_has_a_name(role: Path) -> None:
    """Its default comes from facts, which a playbook of somebody else may not gather."""
    files = [path for kind in ("vars", "templates") for path in (role / kind).rglob("*") if path.is_file()]
    uses = any("hotstack_os_host_name" in path.read_text(encoding="utf-8") for path in files)
    # These two are the setting itself, and who checks all settings.
    if uses and role.name not in ("settings", "preflight"):
        first = load(role / "tasks" / "main.yml")[0]
        assert first.get("ansible.builtin.assert", {}).get("that") == "hotstack_os_host_name | length > 0"


def test_playbooks_work_for_an_ordinary_user() -> None:
    """One that may use sudo, on the host or on another machine."""
    plays = [(path.name, play) for path in (ROOT / "playbooks").glob("*.yml") for play in load(path)]
    assert [name for name, play in plays if play.get("become") is not True] == []


LINKS = {
    # A guest's TAP, both veths of metadata, Open vSwitch's.
    **dict.fromkeys(("tap1a2b3c4d-5e", "tap1a2b3c4d-50", "tap1a2b3c4d-51"), True),
    **dict.fromkeys(("ovs-system", "ovs-netdev", "genev_sys_6081"), True),
    **dict.fromkeys(("tap0", "tap-vpn", "tapdeadbeef", "vnet0", "veth0", "br-int", "eth0", "enp1s0", "podman0"), False),
}


@pytest.mark.parametrize(("link", "ours"), LINKS.items())
def test_links_that_others_are_to_leave_alone(link: str, ours: bool) -> None:
    globs = data(ROOT / "roles/ovs_network", "vars")["__ovs_network_named_elsewhere"]
    assert any(fnmatchcase(link, glob) for glob in globs) is ours
    assert not re.search(r"[\[\]!;, ]", "".join(globs)), "NetworkManager's globs know * and ? alone"


def test_units_that_restart_have_no_limit() -> None:
    """One that gives up stays down after its cause is gone."""
    units = {path: text for path, text in texts(".j2") if re.search(r"^Restart=", text, re.MULTILINE)}
    assert len(units) >= 3
    assert {path for path, text in units.items() if "\nStartLimitIntervalSec=0\n" not in text} == set()


def test_services_keep_the_log_levels_of_their_libraries() -> None:
    """The option replaces all of them: in debug logs Nova's helpers would then show what they return."""
    assert {path for path, text in texts(".j2") if "default_log_levels" in text} == set()


# --- names


def test_collections_are_used_and_named() -> None:
    """A host must have what is used, and nothing else."""
    galaxy = load(ROOT / "galaxy.yml")["dependencies"]
    assert {line["name"]: line["version"] for line in load(ROOT / "requirements.yml")["collections"]} == galaxy
    named = re.compile(r"^[ -]*([a-z_]+\.[a-z_]+)\.[a-z_]+:", re.MULTILINE)
    used = {
        name for path, text in texts(".yml") if path.parts[0] in ("roles", "playbooks") for name in named.findall(text)
    }
    assert used - {"ansible.builtin", "hotstack.os"} == set(galaxy)
    # Nor has the lab host more, but for a callback of its own: what is missing above shows there.
    there = re.search(r"site-packages \\\n *(.*) \\\n", (ROOT / "molecule/lab_host/Containerfile").read_text())
    assert there
    assert {name.replace("/", ".") for name in there[1].split()} == {*galaxy, "ansible.posix"}


def test_scenarios_forget_earlier_runs() -> None:
    """Molecule keeps what it did for a folder: a scenario that was not destroyed is not prepared again."""
    for path in sorted((ROOT / "molecule").glob("*/molecule.yml")):
        sequence = load(path).get("scenario", load(ROOT / ".config/molecule/config.yml")["scenario"])["test_sequence"]
        assert (sequence[0], sequence[-1]) == ("destroy", "destroy"), path


def test_shared_names_are_known() -> None:
    """A misspelt setting in a role, a playbook or a template shows here, not at a user's."""
    # Given by the engine to what it renders; the name of a group; one that a scenario may define for itself.
    known = {*DEFAULTS, *DERIVED, "hotstack_os_credentials"}
    unknown = {
        f"{path}: {name}"
        for path, text in texts(".yml", ".j2", ".md")
        for name in SHARED.findall(re.sub(r"\{%-? *set .*", "", text))
        if name not in known and not (path.parts[0] == "molecule" and re.search(rf"^\s*{name}:", text, re.MULTILINE))
    }
    assert unknown == set()


def test_every_setting_is_used() -> None:
    text = "\n".join(text for path, text in texts(".yml", ".j2", ".py") if "argument_specs" not in path.name)
    assert {name for name in DEFAULTS if len(re.findall(rf"\b{name}\b", text)) < 2} == set()


def test_booleans_are_read_as_such() -> None:
    """`-e hotstack_os_debug=no` is a text, and a text is true."""
    names = [name for name, option in specs(SETTINGS)["main"]["options"].items() if option["type"] == "bool"]
    for path, text in texts(".yml", ".j2"):
        if path.parts[:2] != ("roles", "settings"):
            for name in names:
                # A keyword of a task reads words as booleans by itself.
                bare = re.findall(rf"^(?!.*no_log:).*\b{name}\b(?!\s*\| *(?:bool|ternary)).*$", text, re.MULTILINE)
                assert [line for line in bare if "{{" in line or "{%" in line] == [], path


def test_credentials_are_known() -> None:
    known = set(DERIVED["hotstack_os_credential_names"])
    literal = re.compile(r"hotstack_os_credentials(?:\[['\"](\w+)['\"]\]|\.(\w+))")
    parameter = re.compile(r"\w*password_credential['\"]?: *['\"]?(\w+)['\"]?(?=[,\s}]|$)")
    for path, text in texts(".yml", ".j2"):
        if path.parts[0] in ("roles", "playbooks") and path.name != "argument_specs.yml":
            named = {one or other for one, other in literal.findall(text)} | set(parameter.findall(text))
            named -= {"get", "items", "str", "type", "description"}
            assert named <= known, path


# --- plugins and documents


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_module_documents_itself(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    page = yaml.safe_load(re.search(r'^DOCUMENTATION = r?"""(.*?)"""', source, re.DOTALL | re.MULTILINE)[1])  # type: ignore[index]
    assert page["module"] == path.stem
    assert {"check_mode", "diff_mode"} <= set(page["attributes"])
    assert "\nEXAMPLES = " in source
    assert "\nRETURN = " in source


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/filter").glob("*.py")), ids=lambda path: path.stem)
def test_filters_are_documented(path: Path) -> None:
    module = importlib.import_module(f"ansible_collections.hotstack.os.plugins.filter.{path.stem}")
    for name in module.FilterModule().filters():
        page = load(path.with_name(f"{name}.yml"))
        assert page, f"{name} has no page"
        assert page["DOCUMENTATION"]["name"] == name


def tool(name: str) -> ModuleType:
    """Return a tool of the repository, whose file has no suffix."""
    loader = SourceFileLoader(f"tool_{name}", str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == tool("docs").page(), "run tools/docs"


def test_first_line_is_the_licence() -> None:
    for path, text in texts(".py", ".yml"):
        head = "\n".join(text.splitlines()[:2])
        assert "SPDX-License-Identifier: Apache-2.0" in head or not text.strip(), path


def test_paths_that_roles_and_plugins_share_agree() -> None:
    command = data(ROOT / "roles/host_command", "vars")
    assert command["__host_command_settings_file"] == status_report.DEPLOYMENT
    assert DERIVED["hotstack_os_clouds_file"] == removal_traces.CLOUDS
    below = (f"{{{{ hotstack_os_data_dir }}}}/{name}" for name in removal_traces.BELOW)
    places = (removal_traces.Subject.user, *removal_traces.Subject.data_dirs, *below)
    assert tuple(DEFAULTS[name] for name in removal_traces.PLACES) == places
    assert status_readers.CLIENT_FILES == removal_traces.CLIENT_FILES
    assert status_readers.OURS == (clouds.BEGIN, cloud_secrets.HEAD)
    units = (ROOT / "roles/libvirt_session/vars/main.yml").read_text(encoding="utf-8")
    assert f"/etc/systemd/system/{DERIVED['hotstack_os_libvirt_unit']}\n" in units
    assert DERIVED["hotstack_os_libvirt_unit"] in status_readers.HOST_UNITS


def test_removal_knows_every_system_file() -> None:
    """Whatever a role puts into a system folder must be on the list of those who take it away."""
    named = re.compile(r"\w+: *\"?((?:/etc|/usr/local|/run)/[\w./{} @-]+)")
    patterns = removal_traces.Subject(everything=True).patterns()
    folders = {pattern.partition("*")[0] if "*" in pattern else f"{pattern}/" for pattern in patterns}
    known = {removal_traces.HOSTS, removal_traces.CLOUDS, *patterns}
    # In containers; of those who look, not of those who write.
    elsewhere = ("/etc/containers/registries", "/run/user", "/run/resolv", "/run/openvswitch", "/run/ovn")
    unknown = {
        f"{path}: {name}"
        for path, text in texts(".yml")
        if path.parts[0] == "roles" and path.name != "argument_specs.yml" and "_containers:" not in text
        for name in named.findall(text)
        if name not in known and not name.startswith((*folders, *elsewhere))
    }
    assert unknown == set()


@pytest.mark.parametrize("name", ["Debian", "Ubuntu"])
def test_a_minimal_system_gets_what_packages_only_recommend(name: str) -> None:
    """Recommended packages are not installed, and the lab hosts have some of these by themselves."""
    variables = yaml.safe_load((ROOT / f"roles/host_prep/vars/{name}.yml").read_text(encoding="utf-8"))
    recommended = {"ca-certificates", "crun", "dbus-user-session", "libpam-systemd", "netavark", "nftables"}
    assert recommended <= set(variables["__host_prep_system_packages"])


def test_the_kernel_kills_no_guest_before_a_container() -> None:
    """A process has its score and, in thousandths of the host's memory, what it uses: oom_badness() in the kernel."""
    unit = (ROOT / "plugins/action/templates/container.j2").read_text(encoding="utf-8")
    scores = re.search(r"--oom-score-adj=\{\{ (\d+) if container.essential else (\d+) \}\}", unit)
    manager = (ROOT / "roles/host_prep/templates/user-manager.conf.j2").read_text(encoding="utf-8")
    score = re.search(r"^OOMScoreAdjust=(-\d+)$", manager, re.MULTILINE)
    assert scores
    assert score
    essential, other = map(int, scores.groups())
    # DefaultOOMScoreAdjust= of a user's service manager.
    guest = int(score[1]) + 100
    assert guest + 1000 <= essential < other <= 1000
