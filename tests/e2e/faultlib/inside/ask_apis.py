# SPDX-License-Identifier: Apache-2.0
"""Ask each API again and again, as a client does; write a line for each answer: start, seconds, API, error."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

DOMAIN = "hotstack-os.local"
CREDENTIALS = "/var/lib/hotstack-os/credentials.json"
PATIENCE = 10.0
PAUSES = {"keystone": 2.0}
PAUSE = 1.0


class Asker:
    """Asks with the newest token that there is."""

    def __init__(self, log: int) -> None:
        with open(CREDENTIALS, encoding="utf-8") as file:
            password = json.load(file)["admin_password"]
        domain = {"id": "default"}
        user = {"name": "admin", "domain": domain, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": domain}}
        self.sign_in = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
        self.log = log
        self.token = self.project = ""
        self.signed_in = threading.Event()

    def url(self, api: str) -> str:
        """Return what is asked."""
        return {
            "keystone": f"http://keystone.{DOMAIN}:5000/v3/auth/tokens",
            "nova": f"http://nova.{DOMAIN}:8774/v2.1/servers",
            "neutron": f"http://neutron.{DOMAIN}:9696/v2.0/networks",
            "glance": f"http://glance.{DOMAIN}:9292/v2/images",
            "cinder": f"http://cinder.{DOMAIN}:8776/v3/{self.project}/volumes",
            "heat": f"http://heat.{DOMAIN}:8004/v1/{self.project}/stacks",
        }[api]

    def ask(self, api: str) -> None:
        """Ask once; raise what went wrong."""
        if api == "keystone":
            request = urllib.request.Request(self.url(api), self.sign_in, {"Content-Type": "application/json"})
        else:
            self.signed_in.wait()
            request = urllib.request.Request(self.url(api), headers={"X-Auth-Token": self.token})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = json.load(answer)
            if api == "keystone":
                self.token, self.project = answer.headers["X-Subject-Token"], body["token"]["project"]["id"]
                self.signed_in.set()

    def stream(self, api: str) -> None:
        """Ask for ever."""
        while True:
            start, error = time.time(), ""
            try:
                self.ask(api)
            except urllib.error.HTTPError as problem:
                error = str(problem.code)
            except (OSError, ValueError, KeyError) as problem:
                error = str(getattr(problem, "reason", problem)) or type(problem).__name__
            seconds = time.time() - start
            # One write, so that lines of several threads do not mix.
            os.write(self.log, (json.dumps([round(start, 3), round(seconds, 3), api, error]) + "\n").encode())
            time.sleep(max(0.1, PAUSES.get(api, PAUSE) - seconds))


def main() -> None:
    """Ask all APIs at the same time."""
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    asker = Asker(log)
    for api in ("nova", "neutron", "glance", "cinder", "heat"):
        threading.Thread(target=asker.stream, args=(api,), daemon=True).start()
    asker.stream("keystone")


if __name__ == "__main__":
    main()
