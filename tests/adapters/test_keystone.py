"""Which cloud the variables and files of an operator mean, and what their mistakes are called.

The library below reads the process' environment and home: each case is a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hacli.adapters.keystone import address_of
from tests.adapters.nova_server import NovaServer, Reply

CLOUDS = """
clouds:
  prod:
    auth:
      auth_url: http://prod.example.org:5000/v3
      username: op
      password: of-prod
      project_name: admin
      user_domain_id: default
      project_domain_id: default
    region_name: Milan
    interface: internal
    cacert: /etc/ssl/prod.pem
  spare:
    auth:
      auth_url: http://spare.example.org:5000/v3
      username: op
      password: of-spare
      project_name: admin
      user_domain_id: default
      project_domain_id: default
    regions: [North, South]
    compute_endpoint_override: http://spare.example.org:8774/v2.1
  bare:
    auth:
      auth_url: http://bare.example.org:5000/v3
      username: op
"""
OPENRC = {
    "OS_AUTH_URL": "http://rc.example.org:5000/v3",
    "OS_USERNAME": "op",
    "OS_PASSWORD": "of-rc",
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_ID": "default",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": "Turin",
    "OS_INTERFACE": "admin",
}
SCRIPT = """
import json, sys
from hacli.adapters.keystone import open_cloud
from hacli.errors import Misconfigured
try:
    cloud = open_cloud(**json.loads(sys.argv[1]))
except Misconfigured as error:
    print(json.dumps({"what": error.what, "why": error.why}))
else:
    print(json.dumps({
        "auth_url": cloud.session.auth.auth_url,
        "region": cloud.region,
        "interface": cloud.interface,
        "compute_url": cloud.urls.get("compute"),
        "verify": cloud.session.verify,
    }))
"""


def opened(
    folder: Path, *, environ: dict[str, str] | None = None, **chosen: str | None
) -> dict[str, object]:
    """What ``open_cloud`` makes of these variables, with ``folder`` as home."""
    kept = {key: word for key, word in os.environ.items() if not key.startswith("OS_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps({"name": None, **chosen})],
        cwd=folder,
        env={**kept, "HOME": str(folder), **(environ or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose ~/.config/openstack/clouds.yaml has three clouds."""
    place = tmp_path / ".config" / "openstack"
    place.mkdir(parents=True)
    (place / "clouds.yaml").write_text(CLOUDS)
    return tmp_path


def test_a_named_cloud_brings_region_interface_and_authority(home: Path) -> None:
    """All from its entry in clouds.yaml."""
    assert opened(home, name="prod") == {
        "auth_url": "http://prod.example.org:5000/v3",
        "region": "Milan",
        "interface": "internal",
        "compute_url": None,
        "verify": "/etc/ssl/prod.pem",
    }


def test_our_own_configuration_chooses_interface_and_region(home: Path) -> None:
    """They stand above those of clouds.yaml."""
    found = opened(home, name="spare", interface="admin", region="South")

    assert (found["interface"], found["region"]) == ("admin", "South")
    assert found["compute_url"] == "http://spare.example.org:8774/v2.1"


def test_the_configured_cloud_wins_over_os_cloud(home: Path) -> None:
    """And OS_REGION_NAME, meant for another cloud, is not mixed into it."""
    found = opened(home, name="prod", environ={"OS_CLOUD": "spare", "OS_REGION_NAME": "South"})

    assert (found["auth_url"], found["region"]) == ("http://prod.example.org:5000/v3", "Milan")


def test_os_cloud_with_os_region_name_chooses_its_region(home: Path) -> None:
    """As for the openstack command."""
    found = opened(home, environ={"OS_CLOUD": "spare", "OS_REGION_NAME": "South"})

    assert (found["auth_url"], found["region"]) == ("http://spare.example.org:5000/v3", "South")


def test_os_cloud_wins_over_a_sourced_openrc(home: Path) -> None:
    """The two are not mixed: no half of one login with half of the other."""
    mixed = {key: word for key, word in OPENRC.items() if key != "OS_REGION_NAME"}
    found = opened(home, environ={**mixed, "OS_CLOUD": "prod"})

    assert (found["auth_url"], found["interface"]) == (
        "http://prod.example.org:5000/v3",
        "internal",
    )


def test_an_openrc_alone_is_enough(tmp_path: Path) -> None:
    """No file is needed."""
    assert opened(tmp_path, environ=OPENRC) == {
        "auth_url": "http://rc.example.org:5000/v3",
        "region": "Turin",
        "interface": "admin",
        "compute_url": None,
        "verify": True,
    }


@pytest.mark.parametrize("named", [True, False])
def test_a_planted_clouds_yaml_is_not_used(tmp_path: Path, *, named: bool) -> None:
    """Whoever can write into the current directory would get the operator's trust."""
    (tmp_path / "clouds.yaml").write_text(CLOUDS)

    found = opened(tmp_path, environ={"OS_CLOUD": "prod"} if named else {})

    assert "auth_url" not in found


def test_a_file_that_is_named_is_used(tmp_path: Path) -> None:
    """OS_CLIENT_CONFIG_FILE is the operator's own word."""
    (tmp_path / "mine.yaml").write_text(CLOUDS)
    environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "mine.yaml"), "OS_CLOUD": "prod"}

    assert opened(tmp_path, environ=environ)["region"] == "Milan"


def test_a_named_file_that_is_not_there_is_an_error(home: Path) -> None:
    """The library would quietly go on to the next place."""
    found = opened(home, environ={"OS_CLIENT_CONFIG_FILE": "/nowhere.yaml", "OS_CLOUD": "prod"})

    assert found["what"] == "OS_CLIENT_CONFIG_FILE names /nowhere.yaml, which does not exist."


def test_a_cloud_that_is_not_there_is_named(home: Path) -> None:
    """And it is said that the sourced openrc was not taken instead."""
    found = opened(home, environ={**OPENRC, "OS_CLOUD": "prdo"})

    assert found == {
        "what": "The cloud's login cannot be used: Cloud prdo was not found.",
        "why": "OS_AUTH_URL is set too; OS_CLOUD wins and the other OS_* variables are not used.",
    }


def test_what_a_login_lacks_is_named(home: Path) -> None:
    """Cloud and key."""
    assert opened(home, name="bare")["what"] == "The login of cloud bare lacks password."


def test_no_cloud_at_all_says_where_one_may_be(tmp_path: Path) -> None:
    """Nothing configured is a mistake of configuration, not of the network."""
    assert opened(tmp_path) == {
        "what": "No usable cloud login: auth_url not given.",
        "why": "Neither OS_CLOUD with a clouds.yaml nor complete OS_* variables were found.",
    }


def test_a_session_from_variables_reaches_nova(tmp_path: Path) -> None:
    """The whole way, in a process of its own: login, catalog, versions, services."""
    script = """
from hacli.adapters.keystone import open_cloud
from hacli.adapters.nova import Nova
print(Nova(lambda: open_cloud(None)).read_caller().user)
"""
    kept = {key: word for key, word in os.environ.items() if not key.startswith("OS_")}
    with NovaServer(answer=lambda _: Reply(body={"services": []})) as server:
        mine = {"OS_AUTH_URL": f"{server.url}/identity/v3", "OS_PASSWORD": "correct horse"}
        place = {"OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "public", "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**kept, **OPENRC, **mine, **place},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stdout, done.stderr) == (0, "operator\n", "")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://nova.example.org:8774/v2.1", "https://nova.example.org:8774"),
        ("https://nova.example.org/compute", "https://nova.example.org:443"),
        ("http://op:secret@[2001:db8::1]/v2.1", "http://[2001:db8::1]:80"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_path_and_login(url: str, address: str) -> None:
    """What an operator compares with the catalog; never a password."""
    assert address_of(url) == address
