# SPDX-License-Identifier: Apache-2.0
"""The smoke test from its first step to its last: what comes after what, and what is cleaned up."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from . import smoke_checks
from .cloud_plan import too_large
from .cloud_program import CloudProgramError
from .smoke_checks import FAILED, GUESTS, OK, SKIPPED, Check, SmokeError, Step

POLL_SECONDS = 0.5
# A guest that does not answer yet is asked about this often, for it may have died.
LOOK_SECONDS = 10.0

Tell = Callable[[str], object]


def rounded(seconds: float | None) -> float | None:
    """Return seconds as a report shows them."""
    return None if seconds is None else round(seconds, 1)


class SmokeRun:
    """One run."""

    def __init__(
        self, settings: Mapping[str, Any], capacity: Mapping[str, int], cloud: Any, host: Any, tell: Tell
    ) -> None:
        """Test by means of a program that asks the cloud, and of the host."""
        self.settings = settings
        self.capacity = capacity
        self.cloud = cloud
        self.host = host
        self.tell = tell
        self.steps: list[Step] = []
        self.failures: list[str] = []
        self.facts: dict[str, Any] = {}

    # --- the order

    def run(self) -> dict[str, Any]:
        """Test, clean up, and return the result."""
        begin = time.monotonic()
        names = self.names()
        if names and self.remove("earlier stack deleted", only_found=True):
            try:
                self.create(names)
                if self.facts:
                    self.try_guests()
            finally:
                if not self.settings["keep"]:
                    self.remove("stack and keypair deleted")
        seconds = time.monotonic() - begin
        return {
            "msg": smoke_checks.summary(self.steps, seconds),
            "failures": self.failures,
            "report": [*smoke_checks.report(self.steps, seconds), *self.kept()],
            "steps": [{**vars(step), "seconds": rounded(step.seconds)} for step in self.steps],
            "seconds": round(seconds, 1),
        }

    def names(self) -> dict[str, Any]:
        """Return the ids of what the guests are made of, once all of it is there and fits."""
        found: dict[str, Any] = {}
        with self.step("image, flavor and network"):
            wanted = {name: self.settings[name] for name in ("image", "flavor", "external_network")}
            found = self.cloud.call("names", **wanted)
            over = too_large([found["sizes"]], [self.capacity])
            if over:
                raise SmokeError(f"The flavor {over[0]}: set smoke_test_flavor to a smaller one.")
        return {} if self.failures else found

    def create(self, names: Mapping[str, Any]) -> None:
        """Create the stack."""
        marker = secrets.token_hex(8)
        parameters = {name: names[name] for name in ("image", "flavor", "external_network")}
        parameters.update(keypair=self.settings["keypair"], dns=self.settings["dns"], marker=marker)
        with self.step("stack created"):
            facts = self.cloud.call(
                "create",
                stack=self.settings["stack"],
                keypair=self.settings["keypair"],
                public_key=self.host.public_key(),
                template=self.settings["template"],
                parameters=parameters,
                timeout=self.settings["stack_timeout"],
            )
            self.facts = {**facts, "marker": marker}
        for guest, seconds in self.facts.get("active", {}).items():
            self.note(Step(f"{guest} ACTIVE after it was asked for", OK, seconds))

    def remove(self, name: str, *, only_found: bool = False) -> bool:
        """Delete stack and keypair; return whether they are gone."""
        begin = time.monotonic()
        wanted = {"stack": self.settings["stack"], "keypair": self.settings["keypair"]}
        try:
            found = self.cloud.call("delete", **wanted, timeout=self.settings["delete_timeout"])
        except CloudProgramError as error:
            self.fail(name, time.monotonic() - begin, str(error))
            return False
        if found or not only_found:
            self.note(Step(name, OK, time.monotonic() - begin))
        return True

    def try_guests(self) -> None:
        """Wait for both guests at the same time, then try one thing after the other."""
        with ThreadPoolExecutor(len(GUESTS)) as pool:
            waits = {guest: pool.submit(self.reach, guest) for guest in GUESTS}
            reached = {guest: wait.result() for guest, wait in waits.items()}
        for guest in GUESTS:
            self.console(guest)
            self.screen(guest)
        for check in smoke_checks.checks(self.facts, self.settings):
            if check.skip:
                self.note(smoke_checks.skipped(check, check.skip))
            elif not all(reached[guest] for guest in (check.guest, *self.peers(check))):
                self.note(smoke_checks.skipped(check, "there is no way into the guest"))
            else:
                self.attempt(check)

    @staticmethod
    def peers(check: Check) -> list[str]:
        """Return the guests beside its own that a check is about."""
        return [guest for guest in GUESTS if guest in check.name]

    # --- steps

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long something took, and what it failed of."""
        begin = time.monotonic()
        try:
            yield
        except (SmokeError, CloudProgramError) as error:
            self.fail(name, time.monotonic() - begin, str(error))
        else:
            self.note(Step(name, OK, time.monotonic() - begin))

    def note(self, step: Step) -> None:
        """Add a line to the report, and show it."""
        self.steps.append(step)
        self.tell(smoke_checks.line(step))

    def fail(self, name: str, seconds: float | None, text: str) -> None:
        """Note a failure."""
        self.failures.append(text)
        self.note(Step(name, FAILED, seconds))

    # --- guests

    def reach(self, guest: str) -> bool:
        """Wait until a guest lets in by SSH; return whether it did."""
        address, launched = self.facts[f"{guest}_floating_ip"], self.facts["launched"][guest]
        end = time.monotonic() + self.settings["boot_timeout"]
        pinged, looked = not self.host.has_ping(), time.monotonic()
        if pinged:
            self.note(Step(f"{guest} ping", SKIPPED, None, "this user can't ping on this host"))
        while True:
            if not pinged and self.host.answers_ping(address):
                pinged = True
                self.note(Step(f"{guest} answers ping after ACTIVE", OK, time.time() - launched))
            if pinged:
                status, said = self.host.run(address, "true", 30)
                if status == 0:
                    self.note(Step(f"{guest} lets in by SSH after ACTIVE", OK, time.time() - launched))
                    return True
                why = f"ssh says: {smoke_checks.last_lines(said, 1) or status}"
            else:
                why = f"no answer to ping from {address}"
            late = time.monotonic() > end
            if late or time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                state = self.state(guest)
                dead = smoke_checks.dead_end(state["status"], state["console"])
                if late or dead:
                    text = smoke_checks.not_booted(guest, dead or why, state["console"], self.facts, self.settings)
                    self.fail(f"{guest} lets in by SSH", time.time() - launched, text)
                    return False
            time.sleep(POLL_SECONDS)

    def state(self, guest: str) -> dict[str, str]:
        """Return status and console of a guest, as far as the cloud tells."""
        try:
            found: dict[str, str] = self.cloud.call("guest", server=self.facts[f"{guest}_id"])
        except CloudProgramError as error:
            return {"status": "", "console": f"(it can't be read: {error})"}
        return found

    def console(self, guest: str) -> None:
        """See that the console's log has something."""
        server = self.facts[f"{guest}_id"]
        look = (
            f"openstack --os-cloud {self.settings['cloud']} console log show {server}",
            "journalctl -u hotstack-os-nova-compute",
        )
        with self.step(f"{guest} console log"):
            if not self.cloud.call("guest", server=server)["console"].strip():
                raise SmokeError(smoke_checks.failure(f"{guest} console log", "some text", "nothing", look))

    def screen(self, guest: str) -> None:
        """See that noVNC shows the guest's screen."""
        name = f"{guest} screen by noVNC"
        look = (
            f"openstack --os-cloud {self.settings['cloud']} console url show --novnc {self.facts[guest + '_id']}",
            "journalctl -u hotstack-os-nova-novncproxy",
            "journalctl -u hotstack-os-haproxy",
        )
        with self.step(name):
            try:
                said = self.host.see(self.cloud.call("screen", server=self.facts[f"{guest}_id"]))
            except (SmokeError, OSError) as error:
                said = str(error)
            if not said.startswith("RFB "):
                expected = "the greeting 'RFB 003.008' of VNC through the websocket of the page"
                raise SmokeError(smoke_checks.failure(name, expected, said or "nothing", look))

    def attempt(self, check: Check) -> None:
        """Try a check until it holds or its time is over."""
        name = f"{check.guest} {check.name}"
        begin = time.monotonic()
        end = begin + self.settings["check_timeout"]
        address = self.facts[f"{check.guest}_floating_ip"]
        while True:
            left = max(5.0, end - time.monotonic())
            status, output = self.host.run(address, check.script, left)
            result, seen = smoke_checks.verdict(check, status, output)
            seconds = time.monotonic() - begin
            if result == SKIPPED:
                return self.note(Step(name, SKIPPED, None, seen))
            if result == OK:
                return self.note(Step(name, OK, seconds))
            if time.monotonic() > end:
                return self.fail(name, seconds, smoke_checks.failure(name, check.expected, seen, check.look))
            time.sleep(POLL_SECONDS)

    def kept(self) -> list[str]:
        """Return how to look at what was left."""
        if not self.settings["keep"]:
            return []
        show = f"openstack --os-cloud {self.settings['cloud']} stack show {self.settings['stack']}"
        logins = [" ".join(self.host.ssh(self.facts[f"{guest}_floating_ip"])) for guest in GUESTS if self.facts]
        return ["Stack and keypair were kept; to look at them:", show, *logins]
