"""Finding Nova: login, catalog, microversions, and who we are to it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hacli.adapters.keystone import Cloud
from hacli.adapters.nova import Nova
from hacli.domain.servers import Caller
from hacli.errors import Misconfigured, NotPermitted, Unavailable, Unreachable
from tests.adapters.nova_records import host_with
from tests.adapters.nova_server import (
    PASSWORD,
    NovaServer,
    Reply,
)


@pytest.mark.parametrize(
    ("highest", "read", "write"),
    [
        ("2.53", "2.53", "2.53"),
        ("2.79", "2.79", "2.79"),
        ("2.95", "2.95", "2.94"),
        ("2.104", "2.96", "2.94"),
    ],
)
def test_microversions_are_agreed_on_once(highest: str, read: str, write: str) -> None:
    """As new as is useful, and never 2.95 for a write; the caller may see which."""
    with NovaServer(answer=host_with(), versions=("2.1", highest)) as nova:
        compute = nova.nova()
        caller = compute.read_caller()
        compute.read_services()

    assert (caller.read_version, caller.write_version) == (read, write)
    assert {request.version for request in nova.requests} == {read}


@pytest.mark.parametrize("versions", [("2.1", "2.52"), ("2.60", "2.104")])
def test_a_nova_that_does_not_speak_2_53_is_named(versions: tuple[str, str]) -> None:
    """Services and hypervisors have no uuid before; what is offered is said."""
    with (
        NovaServer(answer=host_with(), versions=versions) as nova,
        pytest.raises(Unavailable, match=f"speaks microversions {versions[0]} to") as caught,
    ):
        nova.nova().read_services()

    assert "2.53" in caught.value.why


@pytest.mark.parametrize(
    "path", ["/compute/v2.1", "/compute/v2.1/", "/compute/v2.1/0123", "/compute"]
)
def test_nova_is_found_behind_each_form_of_catalog_url(path: str) -> None:
    """With the project's id (old deployments), with the version, or bare."""
    with NovaServer(answer=host_with(), catalog_path=path) as nova:
        found = nova.nova().read_services()

    assert [s.host for s in found.services] == ["compute-3"]


def test_an_admin_is_one_by_role_and_by_deed() -> None:
    """Both the token's role and a read that only an admin may make."""
    with NovaServer(answer=host_with(), roles=("reader", "Admin")) as nova:
        caller = nova.nova().read_caller()

    assert caller == Caller(
        user="operator",
        project="ops",
        admin=True,
        why_not=None,
        read_version="2.96",
        write_version="2.94",
    )


def test_without_the_role_nobody_is_admin() -> None:
    """A policy may open the service list to others; Nova's filters are then still dropped."""
    with NovaServer(answer=host_with(), roles=("reader", "member")) as nova:
        caller = nova.nova().read_caller()

    assert not caller.admin
    assert caller.why_not == "the login has not the role admin (it has: reader, member)"


def test_an_admin_whom_nova_refuses_is_none() -> None:
    """A system-scoped token has the role and gets 403 (facts A.9)."""
    message = "Policy doesn't allow os_compute_api:os-services:list to be performed."
    no = Reply(status=403, body={"forbidden": {"code": 403, "message": message}})
    with NovaServer(answer=lambda _: no) as nova:
        caller = nova.nova().read_caller()

    assert not caller.admin
    assert caller.why_not == f"Nova refuses the list of services (HTTP 403: {message})"


def test_the_caller_is_read_once() -> None:
    """Roles do not change under a token."""
    with NovaServer(answer=host_with()) as nova:
        compute = nova.nova()
        callers = {compute.read_caller() for _ in range(3)}

    assert len(callers) == 1
    assert len(nova.requests) == 1


def test_a_refused_login_is_not_permitted_and_keeps_the_password() -> None:
    """Keystone is named; nothing secret is."""
    with (
        NovaServer(answer=host_with(), keystone_status=401) as nova,
        pytest.raises(NotPermitted, match="refuses the login") as caught,
    ):
        nova.nova().read_caller()

    assert caught.value.source == f"Keystone {nova.url}"
    assert PASSWORD not in str(caught.value)


def test_a_nova_that_is_missing_from_the_catalog_is_a_matter_of_configuration() -> None:
    """Interface and region are ours to choose; they are named."""
    with NovaServer(answer=host_with()) as nova:

        def elsewhere() -> Cloud:
            return replace(nova.cloud(), region="RegionTwo")

        with pytest.raises(Misconfigured, match=r"interface public, region RegionTwo"):
            Nova(elsewhere).read_services()


def test_threads_that_wait_share_one_failure() -> None:
    """A hundred hosts and a Nova that is away: one search, not a hundred one after the other."""
    with NovaServer(keystone_status=503) as nova:
        compute = nova.nova()

        def ask(_: int) -> str:
            with pytest.raises(Unreachable) as caught:
                compute.read_services()
            return str(caught.value)

        with ThreadPoolExecutor(20) as workers:
            whys = set(workers.map(ask, range(20)))

    assert whys == {f"Keystone {nova.url}: answers with HTTP 503"}
    assert nova.logins < 20


def test_nova_is_looked_for_again_after_a_failure() -> None:
    """A failure is of its moment; a resident watcher goes on."""
    with NovaServer(answer=host_with(), keystone_status=503) as nova:
        compute = nova.nova()
        with pytest.raises(Unreachable):
            compute.read_services()
        nova.keystone_status = 201

        assert len(compute.read_services().services) == 1


def test_the_adapter_imports_nothing_heavy_and_leaves_no_files(tmp_path: Path) -> None:
    """novaclient comes with the first call, without its cache files and its own log handler."""
    script = """
import logging, sys
import hacli.adapters.nova
heavy = {"novaclient", "keystoneauth1", "requests", "openstack"} & sys.modules.keys()
assert not heavy, heavy
from tests.adapters.nova_server import NovaServer, Reply
with NovaServer(answer=lambda _: Reply(body={"services": []})) as server:
    server.nova().read_services()
import novaclient
kinds = {type(h) for h in logging.getLogger("novaclient.api_versions").handlers}
assert kinds == {logging.NullHandler}, kinds
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
