"""Law L12: passwords and tokens reach no argument, no environment, no screen and no file."""

from dataclasses import replace
from pathlib import Path

import pytest

from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import FenceLogin
from hacli.lab.cloud_records import stable_id
from hacli.lab.commands import BreakBmc
from hacli.lab.keystone_api import ADMIN
from hacli.lab.seed import Population, small
from tests.e2e.children import family_of
from tests.e2e.conftest import NewSite
from tests.e2e.site import Site
from tests.eventually import eventually

BMC_PASSWORD = "bmc-sekrit-77"


@pytest.mark.parametrize(
    ("fault", "loud"), [(BmcFault.OK, "-vv"), (BmcFault.DENIED, "--debug")], ids=str
)
def test_no_secret_is_shown_anywhere(build: NewSite, fault: BmcFault, loud: str) -> None:
    """Looked for while it runs, and in everything that it has written."""
    site = build(population=_with_bmc_password())
    site.do(BreakBmc(host="compute-1", fault=fault))
    site.lose("compute-1")
    seen: dict[str, bytes] = {}

    with site.begin("recover", "compute-1", "--yes", loud) as running:
        eventually(lambda: _look(running.pid, seen) or not running.running, within_s=40)
        ended = running.end()

    assert ended.code == (0 if fault is BmcFault.OK else 5), ended.err
    written = {str(file): file.read_bytes() for file in _written(site)}
    assert {Path(name).name for name in seen} == {"cmdline", "environ"}
    assert len({name.split("/")[2] for name in seen}) > 1  # it, and what it has started
    assert {Path(name).suffix for name in written} >= {".out", ".err", ".sqlite"}
    tokens = tuple(
        stable_id("token", f"{site.lab.http.urls['keystone']}/{number}") for number in range(1, 9)
    )
    for secret in (BMC_PASSWORD, ADMIN.password, *tokens):
        places = [name for name, text in (seen | written).items() if secret.encode() in text]
        assert places == [], secret


def _with_bmc_password() -> Population:
    """The usual population, with BMCs whose password is not the cloud's."""
    login = FenceLogin(user="bmc-user", password=BMC_PASSWORD)
    population = small(4, 12)
    cluster = replace(population.settings.cluster, login=login)
    return replace(population, settings=replace(population.settings, cluster=cluster))


def _look(pid: int, seen: dict[str, bytes]) -> bool:
    """Take in what /proc shows of the process and all its descendants; always False."""
    for member in family_of(pid):
        for name in ("cmdline", "environ"):
            file = Path(f"/proc/{member}/{name}")
            try:
                seen[str(file)] = seen.get(str(file), b"") + file.read_bytes()
            except OSError:
                continue  # it has ended
    return False


def _written(site: Site) -> list[Path]:
    """All that hacli has written, and its screens; not what the lab wrote for it to read."""
    state, run = (Path(site.env[f"HACLI_{name}_DIR"]) for name in ("STATE", "RUN"))
    folders = [site.folder.glob("*"), state.rglob("*"), run.rglob("*")]
    return [file for files in folders for file in files if file.is_file()]
