"""What an operator of the stack has on a controller: the configuration of hacli and its login."""

from collections.abc import Mapping

from tests.system.stack.cloud_config import REGION, Site
from tests.system.stack.plan import OPERATOR, Plan

CLOUD_NAME = "stack"


def etc(plan: Plan) -> Mapping[str, str | bytes]:
    """Files by their name below ``/etc``; the BMCs' logins are in the cluster's fence devices."""
    return {"hacli/hacli.toml": HACLI, "openstack/clouds.yaml": _clouds(plan)}


HACLI = f"""\
[cloud]
name = "{CLOUD_NAME}"

[storage]
ephemeral = "local"
"""


def _clouds(plan: Plan) -> str:
    return f"""\
clouds:
  {CLOUD_NAME}:
    auth:
      auth_url: {Site(plan).auth_url}
      username: {OPERATOR.user}
      password: {OPERATOR.password}
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
    region_name: {REGION}
"""
