"""What a real Pacemaker 2.1.5 said in 28 states of a cluster, beside what was true."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring, tostring

from hacli.adapters.pacemaker.cib import Cib
from hacli.adapters.pacemaker.crm_mon import CrmMon
from hacli.adapters.pacemaker.view import join_view
from hacli.domain.cluster import ClusterNode, ClusterView

FOLDER = Path(__file__).parent / "recordings" / "pacemaker"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One state: both answers as text."""

    crm_mon: str
    cib: str
    dead: frozenset[str]  # machines whose operating system was dead, whatever Pacemaker thought

    @property
    def view(self) -> ClusterView:
        """What we make of it."""
        return view_of(self.crm_mon, self.cib)


def states() -> tuple[str, ...]:
    """Names of all recorded states, "00" first."""
    return tuple(sorted(folder.name for folder in FOLDER.iterdir()))


def recording(number: str) -> Recording:
    """The state whose name starts with ``number``."""
    (folder,) = FOLDER.glob(f"{number}*")
    truth = (folder / "lab_truth.txt").read_text().splitlines()
    return Recording(
        crm_mon=(folder / "crm_mon_-1_-r.xml").read_text(),
        cib=(folder / "cibadmin_-Q.xml").read_text(),
        dead=frozenset(line.split()[0] for line in truth if "os=dead" in line),
    )


def view_of(crm_mon: str, cib: str) -> ClusterView:
    """The picture made of two answers."""
    return join_view(CrmMon(crm_mon), Cib(cib), read_at=0.0)


def node_of(view: ClusterView, name: str) -> ClusterNode:
    """A node that must be there."""
    node = view.node(name)
    assert node is not None, f"no {name}"
    return node


def tree(text: str) -> Element:
    """An answer to be changed."""
    return fromstring(text)  # noqa: S314 - our own recordings


def text_of(root: Element) -> str:
    """The changed answer."""
    return tostring(root, encoding="unicode")
