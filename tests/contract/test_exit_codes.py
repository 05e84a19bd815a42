"""How Pacemaker's tools end, and what hacli's adapter makes of it."""

import xml.etree.ElementTree as ET

import pytest

from hacli.domain.cluster import Role
from hacli.errors import Unreadable
from hacli.ports import FenceAnswer
from tests.contract.site import Site

GATE = "hacli-evacuating"
STARTED = (Role.STARTED,) * 3
NO_COMPUTE = (Role.STARTED, Role.STARTED, Role.STOPPED)
SOON_S = 60.0


class TestExitCodes:
    """How the tools end, and what hacli's adapter makes of it."""

    PAIR = '<nvpair id="hacli-claim-contract-run" name="run" value="{}"/>'
    CLAIM = f'<cluster_property_set id="hacli-claim-contract">{PAIR}</cluster_property_set>'
    XPATH = "//nvpair[@id='hacli-claim-contract-run' and @value='{}']"

    def test_creating_an_entry_twice_ends_with_108(self, site: Site) -> None:
        """Exactly one of several racing controllers gets 0: the lock of a recovery."""
        first = self._create(site, "r-1")
        second = self._create(site, "r-2")

        assert (first, second) == (0, 108)
        assert self._holds(site, "r-1")

    def test_replacing_by_the_old_value_is_a_compare_and_swap(self, site: Site) -> None:
        """0 where the value was the old one, 105 where it no longer is."""
        won = self._replace(site, old="r-1", new="r-3")
        late = self._replace(site, old="r-1", new="r-4")

        assert (won, late) == (0, 105)
        assert self._holds(site, "r-3")

    def test_modifying_nothing_ends_with_105_and_deleting_nothing_with_0(self, site: Site) -> None:
        """So a deletion must be read back."""
        nowhere = self.XPATH.format("r-9")

        modified = site.tool(
            "cibadmin", "--modify", "--xpath", nowhere, "-X", self.PAIR.format("x")
        )
        deleted = site.tool("cibadmin", "--delete", "--xpath", nowhere)

        assert (modified.code, deleted.code) == (105, 0)
        assert self._holds(site, "r-3")

    def test_deleting_the_entry_ends_with_0(self, site: Site) -> None:
        """Then a query for it ends with 105."""
        gone = site.tool(
            "cibadmin", "--delete", "--xpath", "//cluster_property_set[@id='hacli-claim-contract']"
        )

        assert gone.code == 0
        assert not self._holds(site, "r-3")
        assert site.tool("cibadmin", "--query", "--xpath", self.XPATH.format("r-3")).code == 105

    def test_fencing_an_unknown_node_finds_no_device(self, site: Site) -> None:
        """At once, and nothing is fenced; the history keeps it as a failure by nobody."""
        result = site.cluster.fence_off("compute-99", timeout_s=10.0)

        monitor = site.tool("crm_mon", "--one-shot", "--output-as=xml").out
        event = ET.fromstring(monitor).find("fence_history/fence_event[@target='compute-99']")  # noqa: S314 - the site's own
        assert result.answer is FenceAnswer.NO_DEVICE
        assert event is not None
        assert (event.get("action"), event.get("status")) == ("off", "failed")
        assert event.get("delegate") is None

    def test_clearing_an_attribute_of_an_unknown_node_is_an_error(self, site: Site) -> None:
        """A typing error does not read as done."""
        with pytest.raises(Unreadable):
            site.cluster.clear_attribute("compute-99", GATE)

    def _create(self, site: Site, run: str) -> int:
        return site.tool(
            "cibadmin", "--create", "-o", "crm_config", "-X", self.CLAIM.format(run)
        ).code

    def _replace(self, site: Site, *, old: str, new: str) -> int:
        return site.tool(
            "cibadmin", "--replace", "--xpath", self.XPATH.format(old), "-X", self.PAIR.format(new)
        ).code

    def _holds(self, site: Site, run: str) -> bool:
        return site.tool("cibadmin", "--query", "--xpath", self.XPATH.format(run)).code == 0
