"""The cloud's programs: how each is started, and where it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.stack.cloud_config import (
    API_PORTS,
    CACHE_PORT,
    DATABASE_PORT,
    MESSAGE_PORT,
    Site,
)
from tests.system.stack.plan import Release

# the plain programs: those in /usr/sbin change to a user of Debian's
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
NEUTRON = Path(__file__).parent / "inside" / "neutron_stub.py"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A program that runs until it is stopped.

    Args:
        port: Where it accepts connections when it is ready; None: it only makes some.
        path: What answers to a GET below 500 when it is ready; None: no HTTP.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    path: str | None = None


def daemons(site: Site) -> Mapping[str, Daemon]:
    """All of the cloud, by name."""
    found = (
        *_foundations(site),
        _wsgi(site, "keystone", threads=8, env={"OS_KEYSTONE_CONFIG_DIR": _etc(site, "keystone")}),
        _wsgi(
            site, "placement", threads=8, env={"OS_PLACEMENT_CONFIG_DIR": _etc(site, "placement")}
        ),
        _wsgi(site, "glance", threads=4, env={"OS_GLANCE_CONFIG_DIR": _etc(site, "glance")}),
        *_cinder(site),
        *_nova(site),
    )
    return {daemon.name: daemon for daemon in found}


def _etc(site: Site, program: str) -> str:
    return str(site.etc / program)


def _foundations(site: Site) -> tuple[Daemon, ...]:
    rabbit = site.folder / "rabbitmq"
    return (
        Daemon(
            name="mariadb",
            argv=("mariadbd", f"--defaults-file={site.etc}/mariadb/my.cnf"),
            port=DATABASE_PORT,
        ),
        Daemon(
            name="memcached",
            argv=(
                *("memcached", "-l", site.address, "-p", str(CACHE_PORT), "-U", "0"),
                *("-u", "root", "-m", "64", "-c", "4096"),
            ),
            port=CACHE_PORT,
        ),
        Daemon(
            name="rabbitmq",
            argv=(RABBITMQ,),
            env={
                "HOME": str(rabbit),
                "ERL_CRASH_DUMP": f"{rabbit}/erl_crash.dump",
                "RABBITMQ_NODENAME": "rabbit@localhost",
                "RABBITMQ_MNESIA_BASE": f"{rabbit}/mnesia",
                "RABBITMQ_LOG_BASE": f"{rabbit}/log",
                "RABBITMQ_LOGS": "-",
                "RABBITMQ_CONFIG_FILE": f"{site.etc}/rabbitmq/rabbitmq.conf",
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{site.etc}/rabbitmq/enabled_plugins",
                "RABBITMQ_PID_FILE": f"{rabbit}/pid",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
            },
            port=MESSAGE_PORT,
        ),
        Daemon(
            name="neutron",
            argv=(str(site.venv / "bin/python"), str(NEUTRON), site.address, _port("neutron")),
            port=API_PORTS["neutron"],
            path="/",
        ),
    )


def _cinder(site: Site) -> tuple[Daemon, ...]:
    file = ("--config-file", f"{site.etc}/cinder/cinder.conf")
    return (
        _wsgi(site, "cinder-api", api="cinder", threads=8, pyargv=" ".join(file)),
        Daemon(name="cinder-scheduler", argv=(f"{site.venv}/bin/cinder-scheduler", *file)),
        Daemon(name="cinder-volume", argv=(f"{site.venv}/bin/cinder-volume", *file)),
    )


def _nova(site: Site) -> tuple[Daemon, ...]:
    programs = site.nova_venv / "bin"
    file = ("--config-file", f"{site.etc}/nova/nova.conf")
    return (
        _nova_api(site, programs, file),
        Daemon(name="nova-conductor", argv=(f"{programs}/nova-conductor", *file)),
        Daemon(name="nova-scheduler", argv=(f"{programs}/nova-scheduler", *file)),
    )


def _nova_api(site: Site, programs: Path, file: tuple[str, ...]) -> Daemon:
    """A WSGI module since 2025; before, a server of its own."""
    if site.plan.release is Release.NEWEST:
        env = {"OS_NOVA_CONFIG_DIR": _etc(site, "nova")}
        module = "nova.wsgi.osapi_compute"
        return _wsgi(site, "nova-api", api="nova", module=module, processes=2, threads=16, env=env)
    argv = (f"{programs}/nova-api-os-compute", *file)
    return Daemon(name="nova-api", argv=argv, port=API_PORTS["nova"], path="/")


def _port(api: str) -> str:
    return str(API_PORTS[api])


def _wsgi(
    site: Site,
    name: str,
    *,
    api: str | None = None,
    module: str | None = None,
    processes: int = 1,
    threads: int,
    env: Mapping[str, str] | None = None,
    pyargv: str | None = None,
) -> Daemon:
    """A WSGI application of the newest release under uWSGI."""
    api = api or name
    argv = (
        *(f"{site.venv}/bin/uwsgi", "--master", "--die-on-term", "--lazy-apps", "--need-app"),
        *("--http-socket", f"{site.address}:{_port(api)}", "--listen", "128"),
        *("--virtualenv", str(site.venv), "--module", f"{module or f'{api}.wsgi.api'}:application"),
        *("--processes", str(processes), "--threads", str(threads), "--enable-threads"),
        *("--buffer-size", "65535", "--http-chunked-input", "--wsgi-disable-file-wrapper"),
        *("--add-header", "Connection: close", "--disable-logging"),
        *("--procname-prefix", f"{name} "),
        *(("--pyargv", pyargv) if pyargv else ()),
    )
    return Daemon(name=name, argv=argv, env=env or {}, port=API_PORTS[api], path="/")
