"""What the cloud's programs read: one function per program, values only, no file touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.system.stack.install_cloud import nova_venv, venv
from tests.system.stack.plan import CLOUD_NODE, OPERATOR, Login, Plan, Release

SERVICE_LOGIN = Login(user="stack", password="lab")
"""Of MariaDB and RabbitMQ; the services' own users in Keystone have the same password."""
DATABASE_PORT = 3306
MESSAGE_PORT = 5672
CACHE_PORT = 11211
API_PORTS: Mapping[str, int] = {
    "keystone": 5000,
    "placement": 8778,
    "nova": 8774,
    "glance": 9292,
    "cinder": 8776,
    "neutron": 9696,
}
REGION = "RegionOne"
SERVICE_DOWN_S = 60
REPORT_S = 10

Section = Mapping[str, str | int]
Sections = Mapping[str, Section]


def render(sections: Sections) -> str:
    """As an ini file."""
    return "\n".join(
        "\n".join((f"[{name}]", *(f"{key} = {value}".rstrip() for key, value in section.items())))
        + "\n"
        for name, section in sections.items()
    )


@dataclass(frozen=True)
class Site:
    """Where the cloud of a plan has its programs, its files and its addresses."""

    plan: Plan

    @property
    def address(self) -> str:
        """Of everything in the cloud."""
        return self.plan.management_address(CLOUD_NODE)

    @property
    def folder(self) -> Path:
        """The cloud's files; the same path inside the node and on the machine."""
        return self.plan.disk(CLOUD_NODE)

    @property
    def etc(self) -> Path:
        """The configuration files, one folder per program."""
        return self.folder / "etc"

    @property
    def kept(self) -> Path:
        """What a first start makes and later ones begin with: databases and Keystone's keys."""
        return self.folder / "kept"

    @cached_property
    def venv(self) -> Path:
        """The newest release."""
        return venv(self.plan)

    @cached_property
    def nova_venv(self) -> Path:
        """The release under test."""
        return nova_venv(self.plan)

    def url(self, service: str) -> str:
        """The root of an API."""
        return f"http://{self.address}:{API_PORTS[service]}"

    @property
    def auth_url(self) -> str:
        """Of Keystone."""
        return self.url("keystone") + "/v3"

    def database(self, name: str) -> Section:
        """Section of a service that keeps its data in MariaDB."""
        login = f"{SERVICE_LOGIN.user}:{SERVICE_LOGIN.password}"
        return {
            "connection": f"mysql+pymysql://{login}@{self.address}:{DATABASE_PORT}/{name}"
            "?charset=utf8mb4",
            "max_pool_size": 10,
            "max_overflow": 40,
        }

    @property
    def transport(self) -> str:
        """RabbitMQ's URL."""
        login = f"{SERVICE_LOGIN.user}:{SERVICE_LOGIN.password}"
        return f"rabbit://{login}@{self.address}:{MESSAGE_PORT}/"

    def client(self, user: str, **more: str) -> Section:
        """Section of a service that talks to another one."""
        return {
            "auth_type": "password",
            "auth_url": self.auth_url,
            "project_domain_name": "Default",
            "user_domain_name": "Default",
            "project_name": "service",
            "username": user,
            "password": SERVICE_LOGIN.password,
            "region_name": REGION,
            **more,
        }

    def token_check(self, user: str) -> Section:
        """Section of a service that checks its callers' tokens."""
        return self.client(
            user,
            www_authenticate_uri=self.auth_url,
            memcached_servers=f"{self.address}:{CACHE_PORT}",
            service_token_roles_required="true",
            service_token_roles="service",
        )


def mariadb(site: Site) -> str:
    """Nothing is synced to the disk: the data live as long as the machine, at most."""
    return render(
        {
            "mariadbd": {
                "datadir": f"{site.kept}/mysql",
                "socket": "/run/mariadb.sock",
                "pid-file": "/run/mariadb.pid",
                "bind-address": site.address,
                "port": DATABASE_PORT,
                "user": "root",
                "max_connections": 1000,
                "innodb_buffer_pool_size": "256M",
                "innodb_log_file_size": "16M",
                "innodb_flush_method": "nosync",
                "innodb_flush_log_at_trx_commit": 2,
                "innodb_doublewrite": "OFF",
                "skip-log-bin": "1",
                "skip-name-resolve": "1",
                "performance_schema": "OFF",
                "character-set-server": "utf8mb4",
            }
        }
    )


def rabbitmq(site: Site) -> str:
    """Of the broker; it knows one user and one virtual host."""
    return "\n".join(
        (
            f"listeners.tcp.1 = {site.address}:{MESSAGE_PORT}",
            f"default_user = {SERVICE_LOGIN.user}",
            f"default_pass = {SERVICE_LOGIN.password}",
            "loopback_users = none",
            "disk_free_limit.absolute = 100MB",
            "vm_memory_high_watermark.absolute = 1GB",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
            "",
        )
    )


def keystone(site: Site) -> str:
    """Of Keystone; weak password hashes, since a login should cost nothing here."""
    return render(
        {
            "DEFAULT": {
                "use_stderr": "true",
                "log_dir": "",
                "public_endpoint": site.url("keystone"),
            },
            "cache": {
                "enabled": "true",
                "backend": "oslo_cache.memcache_pool",
                "memcache_servers": f"{site.address}:{CACHE_PORT}",
            },
            "token": {"provider": "fernet", "expiration": 86400},
            "fernet_tokens": {"key_repository": f"{site.kept}/fernet"},
            "fernet_receipts": {"key_repository": f"{site.kept}/fernet"},
            "credential": {"key_repository": f"{site.kept}/credential"},
            "identity": {"password_hash_algorithm": "bcrypt", "password_hash_rounds": 4},
            "database": site.database("keystone"),
        }
    )


def placement(site: Site) -> str:
    """Of Placement; spreads servers over equal hosts."""
    return render(
        {
            "DEFAULT": {"use_stderr": "true"},
            "api": {"auth_strategy": "keystone"},
            "placement": {"randomize_allocation_candidates": "true"},
            "keystone_authtoken": site.token_check("placement"),
            "placement_database": site.database("placement"),
        }
    )


def glance(site: Site) -> str:
    """Of Glance with a file store.

    ``enabled_import_methods`` must be ``[]``: an empty value breaks the first answer with
    "ImageProxy object is not callable".
    """
    store = f"{site.folder}/glance"
    return render(
        {
            "DEFAULT": {
                "use_stderr": "true",
                "enabled_backends": "fs:file",
                "worker_self_reference_url": site.url("glance"),
                "enabled_import_methods": "[]",
            },
            "wsgi": {"task_pool_threads": 2},
            "glance_store": {"default_backend": "fs"},
            "fs": {"filesystem_store_datadir": f"{store}/images"},
            "os_glance_staging_store": {"filesystem_store_datadir": f"{store}/staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": f"{store}/tasks"},
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": f"{site.venv}/etc/glance/glance-api-paste.ini",
            },
            "keystone_authtoken": site.token_check("glance"),
            "database": site.database("glance"),
        }
    )


def cinder(site: Site) -> str:
    """Of Cinder, whose volumes are records: its own fake driver always succeeds."""
    return render(
        {
            "DEFAULT": {
                "transport_url": site.transport,
                "my_ip": site.address,
                "host": "cinder-1",
                "use_stderr": "true",
                "auth_strategy": "keystone",
                "api_paste_config": f"{site.venv}/etc/cinder/api-paste.ini",
                "resource_query_filters_file": f"{site.venv}/etc/cinder/resource_filters.json",
                "state_path": f"{site.folder}/cinder",
                "enabled_backends": "fake",
                "default_volume_type": "fake",
                "glance_api_servers": site.url("glance"),
                "osapi_volume_workers": 1,
                "quota_volumes": -1,
                "quota_gigabytes": -1,
                "per_volume_size_limit": -1,
            },
            "fake": {
                "volume_driver": "cinder.tests.fake_driver.FakeLoggingVolumeDriver",
                "volume_backend_name": "fake",
                "reserved_percentage": 0,
            },
            "oslo_concurrency": {"lock_path": f"{site.folder}/cinder/lock"},
            "oslo_messaging_notifications": {"driver": "noop"},
            "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 30},
            "keystone_authtoken": site.token_check("cinder"),
            "database": site.database("cinder"),
            "nova": site.client("nova"),
            "service_user": site.client("cinder", send_service_user_token="true"),
        }
    )


def nova(site: Site) -> str:
    """Of Nova's API, conductor and scheduler; one file for the three.

    By default periodic tasks begin up to a minute after their service, the discovery of new hosts
    among them (``periodic_fuzzy_delay``).
    """
    shared = _nova_everywhere(site, my_ip=site.address, state=site.folder / "nova")
    return render(
        {
            **shared,
            "DEFAULT": {**shared["DEFAULT"], "periodic_fuzzy_delay": 0, **_own_api_server(site)},
            "keystone_authtoken": site.token_check("nova"),
            "api_database": site.database("nova_api"),
            "database": site.database("nova_cell1"),
            "wsgi": {"api_paste_config": f"{site.nova_venv}/etc/nova/api-paste.ini"},
            "api": {"auth_strategy": "keystone"},
            "conductor": {"workers": 2},
            "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 5},
            "filter_scheduler": {
                "enabled_filters": "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,"
                "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter",
                # without it a burst of requests ends on one host of equal ones
                "shuffle_best_same_weighed_hosts": "true",
            },
            "quota": {"instances": -1, "cores": -1, "ram": -1, "server_group_members": -1},
        }
    )


def nova_compute(site: Site, *, name: str, my_ip: str, state: Path) -> str:
    """Of one nova-compute.

    Args:
        name: Nova's name of the host.
        state: On the host's own disk; ``compute_id`` in it is the host's identity.
    """
    sections = dict(_nova_everywhere(site, my_ip=my_ip, state=state))
    sections["DEFAULT"] = {
        **sections["DEFAULT"],
        "host": name,
        "compute_driver": "guest_driver.GuestDriver",
        "instances_path": f"{state}/instances",
        "vif_plugging_is_fatal": "false",
        "vif_plugging_timeout": 0,
    }
    return render(sections)


def _nova_everywhere(site: Site, *, my_ip: str, state: Path) -> Sections:
    """What API, conductor, scheduler and computes share.

    Without heartbeats a dead host's consumers would stay on their queues. Without the service
    token Cinder refuses to delete attachments.
    """
    return {
        "DEFAULT": {
            "transport_url": site.transport,
            "my_ip": my_ip,
            "use_stderr": "true",
            "state_path": str(state),
            "service_down_time": SERVICE_DOWN_S,
            "report_interval": REPORT_S,
        },
        "oslo_concurrency": {"lock_path": f"{state}/lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 30},
        "notifications": {"notification_format": "unversioned"},
        "vnc": {"enabled": "false"},
        "spice": {"enabled": "false"},
        "glance": {"endpoint_override": site.url("glance")},
        "placement": site.client("placement"),
        "neutron": site.client("neutron", endpoint_override=site.url("neutron")),
        "cinder": site.client("nova", catalog_info="volumev3::publicURL"),
        "keystone": site.client("nova"),
        "service_user": site.client("nova", send_service_user_token="true"),
    }


def _own_api_server(site: Site) -> Section:
    if site.plan.release is Release.NEWEST:
        return {}
    return {
        "osapi_compute_listen": site.address,
        "osapi_compute_listen_port": API_PORTS["nova"],
        "osapi_compute_workers": 2,
    }


def clouds_yaml(plan: Plan, *, cloud: str = "stack") -> str:
    """The operator's login for OpenStack's clients, as the one cloud of a ``clouds.yaml``."""
    return f"""clouds:
  {cloud}:
    region_name: {REGION}
    auth:
      auth_url: {Site(plan).auth_url}
      username: {OPERATOR.user}
      password: {OPERATOR.password}
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
"""
