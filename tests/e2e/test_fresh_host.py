# SPDX-License-Identifier: Apache-2.0
"""A host on which nothing was ever deployed."""

from __future__ import annotations

from lab import Lab

TRACES = """
for path in /var/lib/hotstack-os /etc/systemd/system/hotstack-os.target /etc/openstack/clouds.yaml \
    /etc/containers/systemd/hotstack-os-keystone.container; do
    test -e "$path" && echo "$path"
done
id hotstack 2>/dev/null
ovs-vsctl br-exists hot-ex 2>/dev/null && echo hot-ex
podman network exists hotstack-os && echo hotstack-os
grep hotstack-os.local /etc/hosts
true
"""


def test_check_mode_neither_fails_nor_changes(lab: Lab) -> None:
    """Ask what a first deployment would do."""
    play = lab.deploy("--check", "--diff", timeout=600)
    assert play.changed > 0, play.tail()
    assert lab.shell(TRACES) == ""


def test_bad_setting_ends_before_any_change(lab: Lab) -> None:
    """Take the last step of a user's mistake: the sentence, and nothing done."""
    play = lab.deploy("--extra-vars", "hotstack_os_mtu=99", check=False, timeout=600)
    assert play.status != 0
    assert "hotstack_os_mtu" in play.output
    assert lab.shell(TRACES) == ""


def test_unknown_user_ends_before_any_change(lab: Lab) -> None:
    """Name a user of the host who gets a cloud and is not there."""
    play = lab.deploy(
        "--extra-vars", '{"keystone_clouds_users": ["root", "nobody-so-called"]}', check=False, timeout=600
    )
    assert play.status != 0
    assert "keystone_clouds_users: found 'nobody-so-called'; needed names of users of this host alone." in play.output
    assert lab.shell(TRACES) == ""
