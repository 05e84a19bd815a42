"""The cloud node's services: start them all, stop and start one."""

import logging
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial

from tests.system.stack import cloud_config as config
from tests.system.stack import cloud_data, cloud_seed, network
from tests.system.stack.api import CloudApi
from tests.system.stack.cloud_config import Site
from tests.system.stack.cloud_daemons import RABBITMQCTL, Daemon, daemons
from tests.system.stack.node import Node
from tests.system.stack.plan import CLOUD_NODE, Plan
from tests.system.stack.waiting import wait_until

READY_LIMIT_S = 180
LOG_TAIL = 2500
STATELESS = ("memcached", "rabbitmq", "neutron")
APIS = ("keystone", "placement", "glance", "nova-api", "cinder-api")
WORKERS = ("nova-conductor", "nova-scheduler", "cinder-scheduler", "cinder-volume")
COMMON_ENVIRONMENT: Mapping[str, str] = {"no_proxy": "*", "PYTHONWARNINGS": "ignore"}

log = logging.getLogger(__name__)


class CloudFailed(Exception):
    """A service ended that should run; the text has the end of its log."""


def start(plan: Plan, node: Node) -> None:
    """Start everything in a new ``cloud`` node, until the APIs answer and an image is there.

    nova-compute needs a conductor that answers, so those that are started meanwhile wait until
    the catalogue is complete: the conductor comes after it.

    Raises:
        CloudFailed: A service ended.
        TimedOut: A service did not become ready.
    """
    site = Site(plan)
    _write_files(site)
    with _in_cloud_network(plan):
        _start_all(site, node)


def stop_service(node: Node, name: str) -> None:
    """End one service; the names are those of ``cloud_daemons``."""
    node.stop(name)


def start_service(node: Node, name: str) -> None:
    """Start one service again and wait until it answers. Raises as ``start``."""
    site = Site(node.plan)
    daemon = daemons(site)[name]
    _start_one(node, daemon)
    with _in_cloud_network(node.plan):
        _wait_for(site, node, [daemon])


def wait_until_connected(node: Node, hosts: Iterable[str]) -> None:
    """Until RabbitMQ has a consumer for Nova's conductor, scheduler and each host (Nova's names).

    After a restart of RabbitMQ a message for a service that is not yet back is lost silently: a
    server booted just then stays in BUILD for ever.

    Raises:
        TimedOut: Not within two minutes.
    """
    wanted = {"conductor", "scheduler", *(f"compute.{host}" for host in hosts)}
    env = daemons(Site(node.plan))["rabbitmq"].env

    def connected() -> bool:
        words = ("-q", "--no-table-headers", "list_queues", "name", "consumers")
        queues = node.run(RABBITMQCTL, *words, env=env, check=False).stdout
        consumers = dict(line.rsplit("\t", 1) for line in queues.splitlines() if "\t" in line)
        return all(int(consumers.get(name, "0")) > 0 for name in wanted)

    wait_until(connected, "Nova's services are back at RabbitMQ", within_s=120, every_s=1)


def _start_all(site: Site, node: Node) -> None:
    known = daemons(site)
    api = CloudApi(site.plan)

    def start(*names: str) -> None:
        for name in names:
            _start_one(node, known[name])

    def wait_for(*names: str) -> None:
        _wait_for(site, node, [known[name] for name in names])

    start(*STATELESS)
    cloud_seed.lay(site, node)
    log.info("cloud: the databases are laid")
    start("mariadb")
    wait_for("mariadb", "memcached")
    start(*APIS)
    wait_for("keystone")
    cloud_data.enter_catalogue(api, site)
    log.info("cloud: Keystone has the catalogue")
    wait_for("placement", "neutron", "rabbitmq")
    start(*WORKERS)
    wait_for(*known)
    log.info("cloud: the APIs answer")
    cloud_data.enter_resources(api)
    _wait_for_workers(api, node, known.values())


def _start_one(node: Node, daemon: Daemon) -> None:
    node.start(daemon.name, *daemon.argv, env={**COMMON_ENVIRONMENT, **daemon.env})


def _in_cloud_network(plan: Plan) -> AbstractContextManager[None]:
    """What the block asks, and the threads that it starts, is asked in the cloud's network."""
    return network.joined(plan.namespace(CLOUD_NODE))


def _wait_for(site: Site, node: Node, wanted: Iterable[Daemon]) -> None:
    """Until each answers where it should.

    Raises:
        CloudFailed: One ended instead.
        TimedOut: One does not answer.
    """
    for daemon in wanted:
        ready = partial(_is_ready, site, node, daemon)
        wait_until(ready, f"{daemon.name} answers", within_s=READY_LIMIT_S)


def _is_ready(site: Site, node: Node, daemon: Daemon) -> bool:
    """Whether it lives and answers. Raises as ``_check_alive``."""
    _check_alive(node, daemon)
    return _answers(site, daemon)


def _check_alive(node: Node, daemon: Daemon) -> None:
    """Raise the end of its log when it does not.

    Raises:
        CloudFailed: The service has ended.
    """
    if not node.is_alive(daemon.name):
        log = node.folder / "log" / f"{daemon.name}.log"
        tail = log.read_text(errors="replace")[-LOG_TAIL:] if log.exists() else "(no log)"
        raise CloudFailed(f"{daemon.name} ended:\n{tail}")


def _answers(site: Site, daemon: Daemon) -> bool:
    if daemon.port is None:
        return True
    if daemon.path is None:
        return _accepts(site.address, daemon.port)
    return _serves(f"http://{site.address}:{daemon.port}{daemon.path}")


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def _serves(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _wait_for_workers(api: CloudApi, node: Node, wanted: Iterable[Daemon]) -> None:
    """Until conductor and scheduler of Nova, scheduler and volume of Cinder report."""

    def report() -> bool:
        for daemon in wanted:
            _check_alive(node, daemon)
        nova = api.ask("GET", "compute", "/os-services")["services"]
        cinder = api.ask("GET", "volume", "/os-services")["services"]
        up = {service["binary"] for service in (*nova, *cinder) if service["state"] == "up"}
        return set(WORKERS) <= up

    wait_until(report, "Nova's and Cinder's services report", within_s=READY_LIMIT_S, every_s=0.5)


def _write_files(site: Site) -> None:
    """Configuration, and the folders that the programs do not make themselves."""
    texts = {
        "mariadb/my.cnf": config.mariadb(site),
        "rabbitmq/rabbitmq.conf": config.rabbitmq(site),
        "rabbitmq/enabled_plugins": "[].\n",
        "keystone/keystone.conf": config.keystone(site),
        "placement/placement.conf": config.placement(site),
        "glance/glance-api.conf": config.glance(site),
        "cinder/cinder.conf": config.cinder(site),
        "nova/nova.conf": config.nova(site),
    }
    for name, text in texts.items():
        (site.etc / name).parent.mkdir(parents=True, exist_ok=True)
        (site.etc / name).write_text(text)
    # nova's WSGI module takes its api-paste.ini from beside nova.conf
    shutil.copy(site.nova_venv / "etc/nova/api-paste.ini", site.etc / "nova")
    for name in ("glance/images", "glance/staging", "glance/tasks", "cinder", "nova", "rabbitmq"):
        (site.folder / name).mkdir(parents=True, exist_ok=True)
