"""What an operator's loop does for a status: crm_mon, one list of Nova, and BMC after BMC.

The client of Nova is not started anew either: one Python makes the login and the one request.
"""

import os
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

from openstack.config import OpenStackConfig
from pyghmi.ipmi.command import Command


def main() -> None:
    """Print a line for each host."""
    prefix = tomllib.loads(Path(os.environ["HACLI_CONFIG"]).read_text(encoding="utf-8"))
    tool = [*prefix["cluster"]["prefixes"][0], "crm_mon", "--one-shot", "--output-as=xml"]
    seen = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    nodes = ET.fromstring(seen).findall("nodes/node")  # noqa: S314 - the lab made it
    online = {node.get("name"): node.get("online") for node in nodes}
    session = OpenStackConfig().get_one("lab").get_session()
    nova = {"service_type": "compute", "interface": "public"}
    answer = session.get("/os-services?binary=nova-compute", endpoint_filter=nova)
    services = answer.json()["services"]
    states = {service["host"]: service["state"] for service in services}
    for host, state in states.items():
        print(host, online.get(host), state, _power(host))


def _power(host: str) -> str:
    """By ipmitool, as loops do; by pyghmi, which needs no new process, where there is none."""
    address, _, port = os.environ[f"HACLI_LAB_BMC_{host.upper().replace('-', '_')}"].partition(":")
    user = os.environ["HACLI_LAB_BMC_USER"]
    file = os.environ["HACLI_LAB_BMC_PASSWORD_FILE"]
    if ipmitool := shutil.which("ipmitool"):
        words = [ipmitool, "-I", "lanplus", "-H", address, "-p", port, "-U", user, "-f", file]
        asked = [*words, "chassis", "power", "status"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        return said.split()[-1]
    password = Path(file).read_text(encoding="utf-8").strip()
    bmc = Command(bmc=address, port=int(port), userid=user, password=password)
    power = str(bmc.get_power()["powerstate"])
    bmc.ipmi_session.logout()
    return power


if __name__ == "__main__":
    main()
