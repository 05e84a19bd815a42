"""hacli's real adapters at one site's addresses, put together as the wiring does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from hacli.adapters.ipmi import IpmiHelper, IpmiPower
from hacli.adapters.keystone import READ_LIMIT_S, Cloud, bound
from hacli.adapters.nova import Nova
from hacli.domain.cluster import ClusterView
from hacli.domain.power import IPMI_PORT, Bmc
from hacli.wiring import BMC_LIMIT_S

REGION = "RegionOne"
ZED = "2.93"
"""The newest microversion of the oldest Nova here; it leaves an evacuated server running."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """How an administrator logs in to Keystone."""

    url: str
    user: str
    password: str
    project: str


def open_cloud(login: Login) -> Cloud:
    """A bounded session, as ``keystone.open_cloud`` makes it from clouds.yaml. Sends nothing."""
    auth = v3.Password(
        auth_url=login.url,
        username=login.user,
        password=login.password,
        project_name=login.project,
        user_domain_name="Default",
        project_domain_name="Default",
    )
    session = Session(auth=auth)
    bound(session, read_limit_s=READ_LIMIT_S)
    return Cloud(session=session, interface="public", region=REGION)


def open_nova(cloud: Cloud) -> Nova:
    """The adapter."""
    return Nova(lambda: cloud)


def act(cloud: Cloud, server: str, action: Mapping[str, object]) -> int:
    """POST one action of a server; the status of the answer."""
    answer = cloud.session.post(
        f"/servers/{server}/action",
        json=dict(action),
        endpoint_filter={"service_type": "compute", "interface": cloud.interface},
        headers={"OpenStack-API-Version": f"compute {ZED}"},
        raise_exc=False,
    )
    return int(answer.status_code)


def bmc_of(view: ClusterView, host: str, *, password: str | None = None) -> Bmc:
    """Where a host's BMC is, by the cluster's fence device; the login of the device, or another."""
    device = next(device for device in view.devices if host in device.hosts)
    known = device.parameters
    return Bmc(
        driver="ipmi",
        address=known["ip"],
        port=int(known.get("ipport", IPMI_PORT)),
        user=known["username"],
        password=known["password"] if password is None else password,
        origin=device.id,
    )


def ipmi_switch(helper: IpmiHelper) -> Callable[[Bmc], IpmiPower]:
    """Makes switches with hacli's own limit."""
    return lambda bmc: IpmiPower(bmc=bmc, helper=helper, timeout_s=BMC_LIMIT_S)
