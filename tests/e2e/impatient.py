"""hacli, with the two waits that no configuration shortens shortened by ``HASTE``.

``python -m tests.e2e.impatient WORD…`` is ``hacli WORD…``: the real command line, wiring and
adapters; only how long a trace is looked for and when an untraced request is settled differ.
"""

import sys
from dataclasses import replace

from hacli.cli.app import App
from hacli.cli.main import run
from hacli.domain.policy import Policy
from hacli.wiring import Connection, connect

HASTE = 60.0
"""By how much: 180 s of looking become 3, 600 s of settling become 10."""
POLICY = Policy()
LOOK_S = POLICY.look_s / HASTE
SETTLE_S = POLICY.settle_s / HASTE


def impatient(app: App) -> Connection:
    """What ``hacli`` connects to, in haste."""
    connection = as_it_is(app)
    policy = replace(connection.settings.policy, look_s=LOOK_S, settle_s=SETTLE_S)
    return replace(connection, settings=replace(connection.settings, policy=policy))


def as_it_is(app: App) -> Connection:
    """What ``hacli`` connects to."""
    return connect(
        config=app.config,
        os_cloud=app.os_cloud,
        without_cluster=app.without_cluster,
        listeners=app.listeners,
        timeout_s=app.timeout_s,
    )


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], App(impatient)))
