"""nova-compute's configuration, on the host's own disk."""

from tests.system.stack.cloud_config import Site, nova_compute
from tests.system.stack.plan import Plan


def write(plan: Plan, host: str) -> None:
    """``nova/nova.conf`` on the host's disk; ``nova/`` is also where its nova-compute keeps things.

    ``host`` is the cluster's name; in the file stands Nova's.
    """
    home = plan.disk(host) / "nova"
    home.mkdir(parents=True, exist_ok=True)
    text = nova_compute(
        Site(plan), name=plan.nova_name(host), my_ip=plan.management_address(host), state=home
    )
    (home / "nova.conf").write_text(text)
