# SPDX-License-Identifier: Apache-2.0
"""The playbook, killed at random moments of a first deployment and of a reconfiguration."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence

from lab import Lab

from faultlib.ground import Fault, Ground
from faultlib.results import Result

# So many kills are in a row; after that many a first deployment may come to its end, and begins again on an empty host.
CHAIN = 5
EARLIEST = 3.0
# A setting that nearly every service uses.
SETTING = "hotstack_os_debug"


def kill_after(lab: Lab, seconds: float, *options: str) -> bool:
    """Start the playbook and kill it with all its processes; tell whether it still ran."""
    try:
        with lab.play_in_background(*options):
            time.sleep(seconds)
    except AssertionError:
        return False
    return True


def deploy(lab: Lab, *options: str) -> float:
    """Run the playbook that is installed in the lab host to its end, and return its seconds."""
    begin = time.monotonic()
    words = " ".join(options)
    enter = "cd /opt/hotstack-os/source; set -a; . /etc/environment; set +a"
    lab.shell(f"{enter}; ansible-playbook hotstack.os.site {words}", timeout=2400)
    return time.monotonic() - begin


def moments(number: int, last: float, dice: random.Random) -> list[float]:
    """Return random moments of a run that takes `last` seconds, one in each of as many parts of it."""
    part = (last - EARLIEST) / number
    found = [EARLIEST + part * (index + dice.random()) for index in range(number)]
    dice.shuffle(found)
    return found


def reconfiguration(number: int, last: float, dice: random.Random) -> list[Fault]:
    """Return rows of kills of the playbook while it changes what nearly all services use; the next run finishes it.

    Each run of a row changes back what the one before changed, and is killed earlier, so that it has something to do.
    """
    values = itertools.cycle(("true", "false"))

    def extra(value: str) -> tuple[str, str]:
        return "--extra-vars", f"{SETTING}={value}"

    def killed(times: Sequence[float]) -> Callable[[Ground], float]:
        def do(ground: Ground) -> float:
            for moment in times:
                seconds, value = moment, next(values)
                while not kill_after(ground.lab, seconds, *extra(value)):
                    # It had ended, so it is killed earlier while it changes that back.
                    seconds, value = seconds / 2, next(values)
            deploy(ground.lab, *extra(value))
            return time.time()

        return do

    def as_before(ground: Ground) -> float:
        deploy(ground.lab)
        return time.time()

    todo, faults = moments(number, last, dice), []
    while todo:
        chain, todo = sorted(todo[:CHAIN], reverse=True), todo[CHAIN:]
        words = ", ".join(f"{moment:.0f}" for moment in chain)
        faults.append(Fault("site", f"killed after {words} s of reconfigurations in a row", killed(chain)))
    return [*faults, Fault("site", "with the former setting", as_before)]


def first_deployment(
    lab: Lab, services: Sequence[str], number: int, last: float, dice: random.Random
) -> Iterator[tuple[Result, float]]:
    """Kill first deployments, each going on where the one before was killed; yield a result of each such row."""
    todo = moments(number, last, dice)
    while todo:
        # A later run of a chain finds done what an earlier one did, so it gets further in the same time.
        chain, todo = sorted(todo[:CHAIN]), todo[CHAIN:]
        begin = time.monotonic()
        name = lab.run("uname", "-n").strip()
        done = lab.deploy("--extra-vars", f"clean_host={name} clean_images=false", check=False, playbook="clean")
        trouble = [] if done.status == 0 else [f"clean: {done.tail(5)}"]
        killed = []
        for moment in chain:
            if kill_after(lab, moment):
                killed.append(f"{moment:.0f}")
            else:
                # It had ended; another one is killed earlier.
                todo.append(moment / 2)
        since, seconds = time.time(), None
        try:
            deploy(lab)
            lab.assert_healthy(list(services), 120)
            lab.assert_token()
            seconds = time.time() - since
            again = lab.deploy()
            if again.changed:
                trouble.append(f"the run after it changed {again.changed}")
        except AssertionError as error:
            trouble.append(str(error)[-500:])
        title = f"first deployment killed after {', '.join(killed)} s in a row"
        yield Result(title, healthy=seconds, trouble=trouble), time.monotonic() - begin
