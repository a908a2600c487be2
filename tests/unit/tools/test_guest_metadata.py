# SPDX-License-Identifier: Apache-2.0
"""What the guest image makes of its metadata and user data, and the YAML that it reads."""

from __future__ import annotations

import base64
import json
import re
import sys
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools" / "guest"))

import metadata
import plain_yaml

LONG = "a sentence that is long enough to be folded at the width of a line by whoever writes it " * 3
VALUES: list[Any] = [
    {"runcmd": ["echo one", ["touch", "/a b"], LONG, "echo 'it' \"is\" > /x: y # z"], "hostname": "node"},
    {"write_files": [{"path": "/x", "content": "a\n  b\n\nc\n", "permissions": 420}, {"content": "\ttab\n"}]},
    {"a": {"b": {"c": [1, -2, [3, [4]], {}, [], None, True, False, "", "no", "0644", "null", " x "]}}},
    ["#x", "- y", "a: b", "[c]", "{d}", "*e", "&f", "!g", "%h", "@i", "`j`"],
    ["k\\l", "m'n", 'o"p', "é", "a\x85b\x07", "q\n", "\n"],
    [LONG + "\n" + LONG + "\n\n" + LONG, "  " + LONG, LONG + ":", "\\ " + LONG],
]
TEXTS = [
    "#cloud-config\n---\nhostname: x # why\n# a comment\nfqdn:   x.y\n",
    "a: |\n  one\n   two\n\n  three\n\nb: |-\n  x\n",
    "c: >\n  folded\n  line\n\n  next\n    more\n  end\nd: |+\n  kept\n\ne: |2\n    deep\n",
    "runcmd:\n- a\n- b: c\n  d: e\n-\n  - f\n  - - g\n    - h\n- |\n  i\n  j\n- k\n",
    "runcmd:\n  - [sh, -c, 'a, b']\n  - [ x,\n      y ]\n  - {a: 1, b: [2, 3], c: , 'd e': \"f\"}\n  - []\n",
    "a: plain\n  goes on\n\n  here\nb: 'single\n  it''s\n\n  here'\nc: \"double \\\n  joined\\n\n  here\"\n",
    "a: http://x:80/#y\nb: 'x'  # c\n\"c d\": e\n'f': g\nh: x#y\n",
    "a: 0644\nb: '0644'\nc: 08\nd: +1\ne: ~\nf: yes\ng: 1-2\nh: 12a\n",
    "a:\r\n  - b\r\n",
    "just text\n",
    "",
    "a:\nb:\n  # nothing\nc: d\n...\n",
]


@pytest.mark.parametrize("width", [20, 80])
@pytest.mark.parametrize("flow", [False, None, True])
@pytest.mark.parametrize("value", VALUES)
def test_what_pyyaml_writes_is_read(value: Any, flow: bool | None, width: int) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, width=width, allow_unicode=True)
    assert plain_yaml.load(text) == value, text


@pytest.mark.parametrize("text", TEXTS)
def test_what_people_write_is_read_as_pyyaml_does(text: str) -> None:
    assert plain_yaml.load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x b\n", "line 1: anchors, aliases and tags are not supported"),
        ("a: b\nc: *x\n", "line 2: anchors, aliases and tags are not supported"),
        ("a: [b\n", "not closed"),
        ("a: 'b\n", "not closed"),
        ("a: b\n - c\n   d: e\n", "line 3: a mapping can't start inside a value"),
        ("a: b\na: c\n", "line 2: the key a is there twice"),
        ("- a\nb: c\n", "line 2: 'b: c' was not expected"),
        ("a:\n\t- b\n", "line 2: a tab can't indent"),
        ("a: 'b' c\n", "line 1: 'c' was not expected"),
        ('a: "\\q"\n', "line 1: unknown escape"),
        ("a: |x\n  b\n", "line 1: '|x' was not expected"),
        ("a\n---\nb\n", "line 2: '---' was not expected"),
    ],
)
def test_bad_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(plain_yaml.YamlError, match=re.escape(message)):
        plain_yaml.load(text)


def plan(user_data: str | bytes = "", **meta: Any) -> metadata.Plan:
    data = user_data if isinstance(user_data, bytes) else user_data.encode()
    return metadata.make_plan(json.dumps(meta), data)


def test_metadata_names_the_guest_and_its_keys() -> None:
    found = plan(hostname="node.novalocal", public_keys={"b": "ssh-rsa B x\n", "a": "ssh-ed25519 A\nssh-ed25519 C\n"})
    assert found.hostname == found.fqdn == "node.novalocal"
    assert found.keys == {"cirros": ["ssh-ed25519 A", "ssh-ed25519 C", "ssh-rsa B x"]}
    assert not found.messages + found.scripts


def test_scripts_are_kept_as_they_are() -> None:
    assert plan("#!/bin/sh\necho é\n").scripts == ["#!/bin/sh\necho é\n"]


@pytest.mark.parametrize(
    ("user_data", "message"),
    [
        (b"\x1f\x8b\x08binary", "compressed user data is not supported"),
        (b"#include\nhttp://x\n", "starts with '#include', which is not supported"),
        (b"#cloud-config-archive\n", "not supported"),
        (b"#cloud-config\n- a\n", "no mapping"),
        (b"#cloud-config\na: [\n", "no valid cloud-config"),
        (b"#cloud-config\npackages: [x]\n", "cloud-config: packages is not supported"),
        (b"#cloud-config\nruncmd: x\n", "runcmd is no list"),
        (b"#cloud-config\nusers: [{name: A/B}]\n", "no usable name"),
        (b"#cloud-config\nusers: [{name: x, passwd: y}]\n", "passwd of the user x is not supported"),
        (b"#cloud-config\nwrite_files: [{path: x}]\n", "no absolute path"),
        (b"#cloud-config\nwrite_files: [{path: /x, encoding: gz}]\n", "encoding gz"),
        (b"#cloud-config\nwrite_files: [{path: /x, encoding: b64, content: '*'}]\n", "no base64"),
        (b"#cloud-config\nwrite_files: [{path: /x, source: y}]\n", "source of the file /x is not supported"),
        (b"#cloud-config\nwrite_files: [{path: /x, permissions: [1]}]\n", "are no permissions"),
    ],
)
def test_what_is_not_supported_is_said(user_data: bytes, message: str) -> None:
    assert any(message in line for line in plan(user_data).messages), plan(user_data).messages


def test_cloud_config() -> None:
    text = """#cloud-config
hostname: node
fqdn: node.example.org
ssh_authorized_keys:
- ssh-ed25519 A
users:
- default
- name: stack
  ssh_authorized_keys: ssh-ed25519 B
  sudo: ALL=(ALL) NOPASSWD:ALL
write_files:
- {path: /a, content: text, permissions: '0600', owner: 'stack:stack', append: true}
- {path: /b, content: aGk=, encoding: b64, permissions: 420}
- path: /c
runcmd:
- echo it's | cat
- [touch, /it's]
"""
    found = plan(text, hostname="other.novalocal", public_keys={"a": "ssh-ed25519 C"})
    assert (found.hostname, found.fqdn) == ("node", "node.example.org")
    assert found.keys == {"cirros": ["ssh-ed25519 C", "ssh-ed25519 A"], "stack": ["ssh-ed25519 B"]}
    assert [tuple(file) for file in found.files] == [
        ("/a", b"text", "0600", "stack:stack", True),
        ("/b", b"hi", "0644", "root:root", False),
        ("/c", b"", "0644", "root:root", False),
    ]
    assert found.scripts == ["#!/bin/sh\necho it's | cat\n'touch' '/it'\\''s'\n"]
    assert not found.messages


def test_multipart_keeps_the_order_of_scripts_and_runs_commands_last() -> None:
    outer, inner = MIMEMultipart(), MIMEMultipart()
    outer.attach(MIMEText("#cloud-config\n" + yaml.safe_dump({"runcmd": ["one"]}), "cloud-config", "us-ascii"))
    outer.attach(MIMEText("#!/bin/sh\necho é\n", "x-shellscript", "utf-8"))
    inner.attach(MIMEText("#cloud-config\nruncmd: [two]\nhostname: x\n", "plain", "us-ascii"))
    inner.attach(MIMEText("something else\n", "x-cfninitdata", "us-ascii"))
    outer.attach(inner)
    found = plan(outer.as_string())
    assert found.scripts == ["#!/bin/sh\necho é\n", "#!/bin/sh\none\ntwo\n"]
    assert found.hostname == "x"
    assert found.messages == [
        "part 2 of part 3 of the user data starts with 'something else', which is not supported, and was left out"
    ]


def test_multipart_with_a_part_that_cannot_be_decoded() -> None:
    coded = base64.b64encode(b"\xff\xfe").decode()
    text = f'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Transfer-Encoding: base64\n\n{coded}\n--x--\n'
    assert "part 1 of the user data can't be decoded and was left out" in plan(text).messages


def test_apply_writes_what_the_plan_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, tuple[bytes, str, str]] = {}
    commands: list[tuple[str, ...]] = []
    said: list[str] = []

    def write(path: str, data: bytes, mode: str, owner: str, *, append: bool = False) -> None:
        if path == "/bad":
            raise OSError(13)
        written[path] = (data, mode, owner)

    monkeypatch.setattr(metadata, "write", write)
    monkeypatch.setattr(metadata, "run", lambda *words: commands.append(words))
    monkeypatch.setattr(metadata, "say", said.append)
    monkeypatch.setattr(metadata, "add_account", lambda user, number: commands.append((user, str(number))))
    config = {"hostname": "n", "fqdn": "n.x", "users": ["stack"], "write_files": [{"path": "/bad"}, {"path": "/good"}]}
    metadata.apply(plan("#cloud-config\n" + yaml.safe_dump({**config, "runcmd": ["x"], "apt": 1})))
    assert written["/etc/hosts"][0] == b"127.0.0.1 localhost\n127.0.1.1 n.x n\n"
    assert ("hostname", "n") in commands
    assert ("stack", "1001") in commands
    assert written["/home/stack/.ssh/authorized_keys"] == (b"", "0600", "stack:stack")
    assert written["/good"] == (b"", "0644", "root:root")
    assert written["/run/user-data/01"] == (b"#!/bin/sh\nx\n", "0700", "root:root")
    assert said[0] == "cloud-config: apt is not supported and was left out"
    assert said[1].startswith("the file /bad could not be written")
