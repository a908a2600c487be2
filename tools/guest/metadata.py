# SPDX-License-Identifier: Apache-2.0
"""Applies what the cloud knows about a guest: hostname, SSH keys, and the parts of user data that are supported.

It runs on MicroPython in the guest, hence neither imports nor features that only CPython has.
"""

import binascii
import json
import os
import sys
from collections import namedtuple

import plain_yaml

DEFAULT_USER = "cirros"
FIRST_ID = 1001  # of users that are added
SCRIPTS = "/run/user-data"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
KNOWN_KEYS = ("hostname", "fqdn", "ssh_authorized_keys", "users", "write_files", "runcmd")
FILE_KEYS = ("path", "content", "encoding", "permissions", "owner", "append", "defer")
USER_KEYS = ("name", "ssh_authorized_keys")
# Every user may become root and nobody has a password, so these ask for nothing that is not so.
EMPTY_USER_KEYS = ("sudo", "shell", "lock_passwd", "gecos")


File = namedtuple("File", ("path", "data", "mode", "owner", "append"))


class Plan:
    """What is to be done, in the order of these lists."""

    def __init__(self) -> None:
        self.hostname = ""
        self.fqdn = ""
        self.keys: dict[str, list[str]] = {DEFAULT_USER: []}
        self.files: list[File] = []
        self.scripts: list[str] = []
        self.commands: list[object] = []
        self.messages: list[str] = []

    def add_keys(self, user: str, keys: object) -> None:
        """Let the owners of these keys log in as a user."""
        known = self.keys.setdefault(user, [])
        for key in keys if isinstance(keys, list) else [keys]:
            if isinstance(key, str) and key.strip() and key.strip() not in known:
                known.append(key.strip())


def make_plan(meta_data: str, user_data: bytes) -> Plan:
    """Return what a guest's metadata and user data ask for."""
    plan = Plan()
    meta = json.loads(meta_data)
    plan.hostname = plan.fqdn = meta.get("hostname") or ""
    for name in sorted(meta.get("public_keys") or {}):
        plan.add_keys(DEFAULT_USER, meta["public_keys"][name].split("\n"))
    try:
        text = user_data.decode("utf-8")
    except UnicodeError:
        plan.messages.append("the user data is no text (compressed user data is not supported) and was left out")
        text = ""
    add_part(plan, text, "the user data")
    if plan.commands:
        plan.scripts.append(command_script(plan.commands))
    return plan


def add_part(plan: Plan, text: str, name: str) -> None:
    """Take over one part of the user data, by the way it starts."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if not first:
        return
    if first.startswith("#!"):
        plan.scripts.append(text.lstrip())
    elif first.startswith("#cloud-config") and not first.startswith("#cloud-config-"):
        add_cloud_config(plan, text, name)
    elif is_multipart(text):
        for number, part in enumerate(parts(text), 1):
            part_name = "part " + str(number) + " of " + name
            if part is None:
                plan.messages.append(part_name + " can't be decoded and was left out")
            else:
                add_part(plan, part, part_name)
    else:
        plan.messages.append(name + " starts with " + repr(first[:60]) + ", which is not supported, and was left out")


def split_header(text: str) -> tuple[dict[str, str], str]:
    """Return the header of a MIME part, names in lower case, and its body."""
    header: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    last = ""
    for number, line in enumerate(lines):
        if not line.strip():
            return header, "\n".join(lines[number + 1 :])
        if line[0] in " \t" and last:
            header[last] += " " + line.strip()
        elif ":" in line and " " not in line.split(":", 1)[0]:
            last = line.split(":", 1)[0].lower()
            header[last] = line.split(":", 1)[1].strip()
        elif not line.startswith("From "):
            return {}, text
    return header, ""


def is_multipart(text: str) -> bool:
    """Tell whether a text is a MIME message of several parts."""
    return split_header(text.lstrip())[0].get("content-type", "").lower().startswith("multipart/")


def parts(text: str) -> "list[str | None]":
    """Return the decoded parts of a MIME message, None for a broken one; what is multipart itself keeps its header."""
    header, body = split_header(text.lstrip())
    content_type = header["content-type"]
    at = content_type.lower().find("boundary=")
    if at < 0:
        return []
    boundary = content_type[at + len("boundary=") :].split(";")[0].strip().strip('"')
    found: list[str | None] = []
    for piece in ("\n" + body).split("\n--" + boundary)[1:]:
        if piece.startswith("--"):
            break
        part = piece.split("\n", 1)[1] if "\n" in piece else ""
        if is_multipart(part):
            found.append(part)
            continue
        head, content = split_header(part)
        if head.get("content-transfer-encoding", "").lower() != "base64":
            found.append(content)
            continue
        try:
            found.append(decoded(content, "base64").decode("utf-8"))
        except ValueError:  # UnicodeError is one
            found.append(None)
    return found


def add_cloud_config(plan: Plan, text: str, name: str) -> None:
    """Take over what is supported of a cloud-config, and say what is not."""
    try:
        config = plain_yaml.load(text)
    except ValueError as error:
        plan.messages.append(name + " is no valid cloud-config and was left out: " + str(error))
        return
    if config is None:
        return
    if not isinstance(config, dict):
        plan.messages.append(name + " is no mapping of cloud-config keys and was left out")
        return
    for key in config:
        if key not in KNOWN_KEYS:
            plan.messages.append("cloud-config: " + str(key) + " is not supported and was left out")
    if config.get("hostname") or config.get("fqdn"):
        plan.hostname = str(config.get("hostname") or config["fqdn"])
        plan.fqdn = str(config.get("fqdn") or config["hostname"])
    plan.add_keys(DEFAULT_USER, config.get("ssh_authorized_keys") or [])
    for user in entries(plan, config, "users"):
        add_user(plan, user)
    for file in entries(plan, config, "write_files"):
        add_file(plan, file)
    plan.commands += entries(plan, config, "runcmd")


def entries(plan: Plan, config: dict[str, object], key: str) -> list[object]:
    """Return the entries of a list, none if there is no list."""
    value = config.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        plan.messages.append("cloud-config: " + key + " is no list and was left out")
        return []
    return value


def add_user(plan: Plan, user: object) -> None:
    """Take over a user: a name, or a mapping with the keys that may log in."""
    if isinstance(user, str):
        user = {"name": user}
    if not isinstance(user, dict) or not is_user_name(user.get("name")):
        plan.messages.append("cloud-config: the user " + repr(user)[:60] + " has no usable name and was left out")
        return
    name = DEFAULT_USER if user["name"] == "default" else user["name"]
    plan.add_keys(name, user.get("ssh_authorized_keys") or [])
    for key in user:
        if key not in USER_KEYS and key not in EMPTY_USER_KEYS:
            plan.messages.append("cloud-config: " + key + " of the user " + name + " is not supported and was left out")


def is_user_name(name: object) -> bool:
    """Tell whether a name can be that of a user."""
    if not isinstance(name, str) or not name or name[0] in "-0123456789":
        return False
    return all(char in "abcdefghijklmnopqrstuvwxyz0123456789_-" for char in name)


def add_file(plan: Plan, file: object) -> None:
    """Take over a file to be written."""
    if not isinstance(file, dict) or not str(file.get("path") or "").startswith("/"):
        plan.messages.append("cloud-config: a file of write_files has no absolute path and was left out")
        return
    path = str(file["path"])
    for key in file:
        if key not in FILE_KEYS:
            plan.messages.append("cloud-config: " + str(key) + " of the file " + path + " is not supported")
    encoding = str(file.get("encoding") or "text/plain")
    content = str("" if file.get("content") is None else file["content"])
    mode = file.get("permissions")
    mode = "0644" if mode is None else f"{mode:04o}" if isinstance(mode, int) else mode
    if not isinstance(mode, str) or not mode.isdigit():
        plan.messages.append("cloud-config: the file " + path + " was left out: " + repr(mode) + " are no permissions")
        return
    try:
        data = decoded(content, encoding)
    except ValueError as error:
        plan.messages.append("cloud-config: the file " + path + " was left out: " + str(error))
        return
    owner = str(file.get("owner") or "root:root")
    plan.files.append(File(path, data, mode, owner, file.get("append") is True))


def decoded(content: str, encoding: str) -> bytes:
    """Return the content of a file."""
    if encoding == "text/plain":
        return content.encode()
    if encoding not in ("b64", "base64"):
        raise ValueError("its encoding " + encoding + " is not supported")
    packed = "".join(content.split())
    if len(packed) % 4 or not all(char in BASE64 for char in packed):  # a2b_base64 passes over what it doesn't know
        raise ValueError("its content is no base64")
    return binascii.a2b_base64(packed)


def command_script(commands: list[object]) -> str:
    """Return the commands of runcmd as one script: texts for the shell, lists as words."""
    lines = ["#!/bin/sh"]
    for command in commands:
        lines.append(" ".join(quote(str(word)) for word in command) if isinstance(command, list) else str(command))
    return "\n".join(lines) + "\n"


def quote(word: str) -> str:
    """Return a word that the shell takes as it is."""
    return "'" + word.replace("'", "'\\''") + "'"


def run(*words: str) -> None:
    """Run a program; a failure is said on the console, and the rest goes on."""
    if os.system(" ".join(quote(word) for word in words)) != 0:
        say("this failed: " + " ".join(words))


def say(text: str) -> None:
    """Put a line on every console."""
    os.system(quote("/usr/libexec/guest/say") + " " + quote(text))


def write(path: str, data: bytes, mode: str, owner: str, *, append: bool = False) -> None:
    """Write a file, its folder too."""
    run("mkdir", "-p", path.rsplit("/", 1)[0] or "/")
    with open(path, "ab" if append else "wb") as file:
        file.write(data)
    run("chmod", mode, path)
    run("chown", owner, path)


def add_account(user: str, number: int) -> None:
    """Make a user without a password, who comes in by SSH key alone."""
    home = "/home/" + user
    for path, line in (
        ("/etc/group", f"{user}:x:{number}:"),
        ("/etc/passwd", f"{user}:x:{number}:{number}:{user}:{home}:/usr/bin/sh"),
        ("/etc/shadow", f"{user}:*:1::::::"),
    ):
        with open(path, "a") as file:
            file.write(line + "\n")
    run("mkdir", "-p", home)
    run("chown", user + ":" + user, home)


def apply(plan: Plan) -> None:
    """Do what a plan says, but for the scripts: they are put in order for the one who runs them."""
    for message in plan.messages:
        say(message)
    if plan.hostname:
        short = plan.hostname.split(".")[0]
        names = [name for name in (plan.fqdn, short) if name and name != "localhost"]
        write("/etc/hosts", ("127.0.0.1 localhost\n127.0.1.1 " + " ".join(names) + "\n").encode(), "0644", "root:root")
        run("hostname", short)
    for number, user in enumerate(sorted(set(plan.keys) - {DEFAULT_USER, "root"}), FIRST_ID):
        add_account(user, number)
    for user in sorted(plan.keys):
        home = "/root" if user == "root" else "/home/" + user
        keys = "".join(key + "\n" for key in plan.keys[user])
        write(home + "/.ssh/authorized_keys", keys.encode(), "0600", user + ":" + user)
        run("chmod", "0700", home + "/.ssh")
        run("chown", user + ":" + user, home + "/.ssh")
    for file in plan.files:
        try:
            write(file.path, file.data, file.mode, file.owner, append=file.append)
        except OSError as error:
            say("the file " + file.path + " could not be written: " + str(error))
    for number, script in enumerate(plan.scripts, 1):
        write(SCRIPTS + f"/{number:02d}", script.encode(), "0700", "root:root")


def read(path: str) -> bytes:
    """Return a file's content, nothing if there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


if __name__ == "__main__":
    apply(make_plan(read(sys.argv[1] + "/meta_data.json").decode(), read(sys.argv[1] + "/user_data")))
