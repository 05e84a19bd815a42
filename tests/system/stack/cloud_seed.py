"""Databases with their schemas, made once and kept: what a start of the cloud begins with.

Making them is half a minute of work. Nothing but the programs' own ``-manage`` commands has
written them, so that no start finds services or servers of an earlier one.
"""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.stack.cloud_config import REGION, SERVICE_LOGIN, Site
from tests.system.stack.cloud_daemons import daemons
from tests.system.stack.install_cloud import pins
from tests.system.stack.node import Node
from tests.system.stack.plan import OPERATOR, Release
from tests.system.stack.waiting import wait_until

DATABASES = ("keystone", "placement", "glance", "cinder", "nova_api", "nova_cell0", "nova_cell1")
SYNC_LIMIT_S = 300
KEY_OWNER = ("--keystone-user", "root", "--keystone-group", "root")


def lay(site: Site, node: Node) -> None:
    """Put databases and Keystone's keys into ``site.kept``, from the cache where it has them.

    The configuration files must be there; nothing of the cloud may run.

    Raises:
        subprocess.CalledProcessError: A program failed; its words are in the node's log folder.
    """
    seed = site.plan.cache / f"databases-{site.plan.release.value}"
    stamp = seed / "made-from.txt"
    if not stamp.exists() or stamp.read_text() != _made_from(site):
        shutil.rmtree(site.kept, ignore_errors=True)
        _make(site, node)
        shutil.rmtree(seed, ignore_errors=True)
        _copy(site.kept, seed)
        stamp.write_text(_made_from(site))
    shutil.rmtree(site.kept, ignore_errors=True)
    _copy(seed, site.kept)


def _made_from(site: Site) -> str:
    """All that decides about the content."""
    addresses = (site.auth_url, site.transport, site.database("nova_cell1")["connection"])
    return "\n".join((pins(Release.NEWEST), pins(site.plan.release), *map(str, addresses)))


def _copy(source: Path, target: Path) -> None:
    """The files of MariaDB are mostly holes."""
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)


def _make(site: Site, node: Node) -> None:
    (site.kept / "mysql").mkdir(parents=True)
    _run(node, "mariadb-install-db", f"--defaults-file={site.etc}/mariadb/my.cnf", "--skip-test-db")
    mariadb = daemons(site)["mariadb"]
    node.start(mariadb.name, *mariadb.argv)
    try:
        wait_until(lambda: _sql(node, "SELECT 1"), "MariaDB answers", within_s=60)
        _create_databases(node)
        with ThreadPoolExecutor() as pool:
            tasks = (_sync_nova, _sync_keystone, _sync_rest)
            for job in [pool.submit(task, site, node) for task in tasks]:
                job.result()
    finally:
        node.stop(mariadb.name)


def _sql(node: Node, statement: str) -> bool:
    done = node.run("mariadb", "--socket=/run/mariadb.sock", "-uroot", stdin=statement, check=False)
    return done.returncode == 0


def _create_databases(node: Node) -> None:
    user = f"'{SERVICE_LOGIN.user}'@'%'"
    made = _sql(
        node,
        f"CREATE USER {user} IDENTIFIED BY '{SERVICE_LOGIN.password}';"
        f"GRANT ALL ON *.* TO {user};"
        + "".join(f"CREATE DATABASE {name} CHARACTER SET utf8mb4;" for name in DATABASES),
    )
    if not made:
        raise RuntimeError("MariaDB refuses to create the databases")


def _run(node: Node, *argv: str) -> None:
    """Run inside the node; output and duration of all such commands are in one log."""
    began = time.monotonic()
    done = node.run(*argv, timeout_s=SYNC_LIMIT_S, check=False)
    took_s = time.monotonic() - began
    log = node.folder / "log" / "manage.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}({took_s:.1f} s)\n")
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _sync_nova(site: Site, node: Node) -> None:
    manage = (f"{site.nova_venv}/bin/nova-manage", "--config-file", f"{site.etc}/nova/nova.conf")
    cell0 = str(site.database("nova_cell0")["connection"])
    _run(node, *manage, "api_db", "sync")
    _run(node, *manage, "cell_v2", "map_cell0", "--database_connection", cell0)
    _run(node, *manage, "db", "sync")
    _run(node, *manage, "cell_v2", "create_cell", "--name", "cell1")


def _sync_keystone(site: Site, node: Node) -> None:
    manage = (
        f"{site.venv}/bin/keystone-manage",
        *("--config-file", f"{site.etc}/keystone/keystone.conf"),
    )
    for keys in ("fernet", "credential"):
        (site.kept / keys).mkdir(mode=0o700)
    _run(node, *manage, "db_sync")
    _run(node, *manage, "fernet_setup", *KEY_OWNER)
    _run(node, *manage, "credential_setup", *KEY_OWNER)
    urls = (f"--bootstrap-{kind}-url={site.auth_url}" for kind in ("public", "internal", "admin"))
    _run(
        node,
        *(*manage, "bootstrap", *urls),
        *("--bootstrap-username", OPERATOR.user, "--bootstrap-password", OPERATOR.password),
        *("--bootstrap-project-name", "admin", "--bootstrap-role-name", "admin"),
        *("--bootstrap-service-name", "keystone", "--bootstrap-region-id", REGION),
    )


def _sync_rest(site: Site, node: Node) -> None:
    programs = site.venv / "bin"
    for program, file, words in (
        ("cinder-manage", "cinder/cinder.conf", ("db", "sync")),
        ("glance-manage", "glance/glance-api.conf", ("db_sync",)),
        ("placement-manage", "placement/placement.conf", ("db", "sync")),
    ):
        _run(node, f"{programs}/{program}", "--config-file", f"{site.etc}/{file}", *words)
