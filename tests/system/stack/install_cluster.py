"""What the cluster needs on the machine."""

from pathlib import Path

from tests.system.stack import debian
from tests.system.stack.plan import Plan

PACKAGES = (
    *("corosync", "pacemaker", "pacemaker-cli-utils", "pacemaker-resource-agents"),
    *("resource-agents", "fence-agents", "ipmitool", "libopenipmi0", "iproute2", "procps"),
    "util-linux",
)
UNPACKED = ("pacemaker-remote", "openipmi")
"""The first conflicts with pacemaker, the second brings a service of its own."""


def ensure(plan: Plan) -> None:
    """Install what is missing; quick when nothing is.

    Raises:
        CommandFailed: apt could not.
    """
    debian.install(*PACKAGES)
    debian.unpack(_unpacked(plan), *UNPACKED)


def pacemaker_remoted(plan: Plan) -> Path:
    """Pacemaker's daemon of a compute host."""
    return _unpacked(plan) / "usr/sbin/pacemaker-remoted"


def ipmi_sim(plan: Plan) -> Path:
    """OpenIPMI's simulated BMC."""
    return _unpacked(plan) / "usr/bin/ipmi_sim"


def _unpacked(plan: Plan) -> Path:
    return plan.cache / "debian"
