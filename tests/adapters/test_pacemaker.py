import pytest

from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import CommandRunner
from hacli.domain.cluster import NodeState
from hacli.errors import HacliError, NotPermitted, Unreachable, Unreadable, UsageError
from hacli.ports import Cluster
from tests.adapters.pacemaker_recordings import recording
from tests.adapters.scripted_commands import Call, pacemaker

CRM_MON = "crm_mon --one-shot --inactive --output-as=xml"
CIB = "cibadmin --query"
CIB_HEAD = "cibadmin --query --no-children"
NODE_STATE = "cibadmin --query --xpath //node_state[@uname='compute-1']"

HEAD = '<cib epoch="5" have-quorum="1" dc-uuid="1"/>'
GONE_STATE = '<node_state uname="compute-1" in_ccm="false" node_fenced="1795326705"/>'


def test_it_fits_the_port_and_takes_the_real_runner() -> None:
    """mypy proves both here; neither constructor does any I/O."""
    cluster: Cluster = Pacemaker(
        CommandRunner(((),), environment={}), monotonic=lambda: 0.0, timeout_s=20.0
    )

    assert isinstance(cluster, Pacemaker)


def test_a_view_takes_one_crm_mon_and_one_cib() -> None:
    """Side by side, each once, and dated before the first was started."""
    recorded = recording("03")
    cluster, script = pacemaker(
        (Call(command=CRM_MON, stdout=recorded.crm_mon), Call(command=CIB, stdout=recorded.cib))
    )

    view = cluster.read_view()

    script.finish()
    assert view.read_at == 7.5
    assert view.nodes == recorded.view.nodes


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (Call(command=CRM_MON, exit_code=102), Unreachable, "not connected to a cluster"),
        (Call(command=CRM_MON, exit_code=124), Unreachable, "timed out"),
        (Call(command=CRM_MON, exit_code=4), NotPermitted, "haclient"),
        (
            Call(
                command=CRM_MON,
                exit_code=102,
                stdout="<pacemaker-result><status code='102'><errors><error>crm_mon: "
                "Could not connect to the CIB: Permission denied</error></errors></status>"
                "</pacemaker-result>",
            ),
            NotPermitted,
            "haclient",
        ),
        (Call(command=CRM_MON, exit_code=78, stderr="bad CIB\n"), Unreadable, "exit 78: bad CIB"),
        (Call(command=CRM_MON, exit_code=-9), Unreadable, "exit -9"),
        (Call(command=CRM_MON), Unreadable, "no XML"),
        (
            Call(command=CRM_MON, ends_with=Unreachable(source="crm_mon", why="no answer")),
            Unreachable,
            "no answer",
        ),
    ],
    ids=[
        "no cluster here",
        "time-out of the tool",
        "no permission by exit code",
        "no permission by words",
        "another exit code",
        "ended by a signal",
        "nothing written",
        "no prefix works",
    ],
)
def test_a_view_that_cannot_be_read_is_an_error(
    call: Call, error: type[HacliError], why: str
) -> None:
    """Never an empty cluster."""
    cluster, script = pacemaker((call, Call(command=CIB, stdout=recording("01").cib)))

    with pytest.raises(error, match=why):
        cluster.read_view()

    script.finish()


def test_a_view_whose_cib_cannot_be_read_is_an_error() -> None:
    """crm_mon alone does not know node_fenced, devices, levels or attributes."""
    cluster, script = pacemaker(
        (
            Call(command=CRM_MON, stdout=recording("01").crm_mon),
            Call(command=CIB, exit_code=102, stderr="Init failed\n"),
        )
    )

    with pytest.raises(Unreachable, match="cibadmin: not connected"):
        cluster.read_view()

    script.finish()


def test_an_exit_code_of_0_without_nodes_is_no_cluster_without_nodes() -> None:
    """crm_mon of a missing CIB_file exits 0 and writes errors (lab-recorded)."""
    answer = (
        '<pacemaker-result api-version="2.25"><status code="0" message="OK"><errors>'
        "<error>CIB_file: No such file</error></errors></status></pacemaker-result>"
    )
    cluster, _ = pacemaker(
        (Call(command=CRM_MON, stdout=answer), Call(command=CIB, stdout=recording("01").cib))
    )

    with pytest.raises(Unreadable, match="has no <nodes>"):
        cluster.read_view()


def test_no_error_shows_what_the_cib_says() -> None:
    """A CIB cut off in the middle of a device is an error without its password."""
    cib = recording("01").cib
    cut = cib[: cib.index("labsecret") + len("labsecret") + 20]
    cluster, _ = pacemaker(
        (Call(command=CRM_MON, stdout=recording("01").crm_mon), Call(command=CIB, stdout=cut))
    )

    with pytest.raises(Unreadable) as error:
        cluster.read_view()

    assert "labsecret" not in f"{error.value!r} {error.value} {error.value.why}"


@pytest.mark.parametrize(
    ("head", "state", "expected"),
    [
        (HEAD, GONE_STATE, (1795326705, False, True, True)),
        (
            HEAD,
            '<node_state uname="compute-1" in_ccm="true" node_fenced="0"/>',
            (0, True, True, True),
        ),
        (HEAD, '<node_state uname="compute-1" in_ccm="true"/>', (None, True, True, True)),
        (HEAD, '<node_state uname="compute-1" in_ccm="1795326700"/>', (None, True, True, True)),
        (HEAD, '<node_state uname="compute-1" in_ccm="0"/>', (None, False, True, True)),
        ('<cib have-quorum="0" dc-uuid="1"/>', GONE_STATE, (1795326705, False, False, True)),
        ('<cib have-quorum="false" dc-uuid="1"/>', GONE_STATE, (1795326705, False, False, True)),
        ("<cib/>", GONE_STATE, (1795326705, False, False, False)),
        (HEAD, f"<xpath-query>{GONE_STATE}</xpath-query>", (1795326705, False, True, True)),
    ],
    ids=[
        "fenced",
        "back",
        "never fenced",
        "joined at a time",
        "not joined, as a time",
        "no quorum",
        "no quorum, in words",
        "no DC has ever written",
        "in a list",
    ],
)
def test_a_node_is_read_again_cheaply(
    head: str, state: str, expected: tuple[int | None, bool, bool, bool]
) -> None:
    """Its node_state and the head of the CIB, whichever version wrote them."""
    cluster, script = pacemaker(
        (Call(command=CIB_HEAD, stdout=head), Call(command=NODE_STATE, stdout=state))
    )

    read = cluster.read_node_state("compute-1")

    script.finish()
    node_fenced, in_cluster, with_quorum, dc = expected
    assert read == NodeState(
        node="compute-1",
        node_fenced=node_fenced,
        in_cluster=in_cluster,
        with_quorum=with_quorum,
        dc=dc,
    )


@pytest.mark.parametrize(
    ("head", "state"),
    [
        (HEAD, '<node_state uname="compute-1" node_fenced="0"/>'),
        (HEAD, '<node_state uname="compute-1" in_ccm="maybe"/>'),
        (HEAD, '<node_state uname="compute-1" in_ccm="-1"/>'),
        (HEAD, '<node_state uname="compute-1" in_ccm="false" node_fenced="soon"/>'),
        (HEAD, '<node_state uname="compute-1" in_ccm="false" node_fenced=""/>'),
        (HEAD, '<node_state uname="compute-1" in_ccm="false" node_fenced="-1"/>'),
        (HEAD, '<node_state uname="compute-2" in_ccm="false"/>'),
        (HEAD, '<node_state in_ccm="false"/>'),
        (HEAD, f"<xpath-query>{GONE_STATE}{GONE_STATE}</xpath-query>"),
        (HEAD, "<xpath-query/>"),
        (HEAD, ""),
        ('<cib have-quorum="perhaps" dc-uuid="1"/>', GONE_STATE),
        ("<other/>", GONE_STATE),
    ],
)
def test_a_node_state_that_is_not_understood_says_nothing(head: str, state: str) -> None:
    """Not "gone" and not "fenced"."""
    cluster, _ = pacemaker(
        (Call(command=CIB_HEAD, stdout=head), Call(command=NODE_STATE, stdout=state))
    )

    with pytest.raises(Unreadable):
        cluster.read_node_state("compute-1")


def test_a_node_without_a_node_state_is_unknown_and_not_gone() -> None:
    """Exit 105: mistyped, or never seen by this cluster."""
    cluster, _ = pacemaker(
        (
            Call(command=CIB_HEAD, stdout=HEAD),
            Call(
                command=NODE_STATE,
                exit_code=105,
                stderr="Call failed: No such device or address\n",
            ),
        )
    )

    with pytest.raises(Unreadable, match="exit 105: Call failed: No such device or address"):
        cluster.read_node_state("compute-1")


@pytest.mark.parametrize("name", ["", "a'b", 'a"b', "a b", "-V", "a]", "a/b", "ä", "a\n"])
def test_a_name_that_could_be_an_option_or_break_an_xpath_is_refused(name: str) -> None:
    """Nothing is run with it, in any call."""
    cluster, script = pacemaker()

    for call in (
        lambda: cluster.read_node_state(name),
        lambda: cluster.fence_off(name, timeout_s=60.0),
        lambda: cluster.confirm_off(name),
        lambda: cluster.write_attribute(name, "hacli-evacuating", "1"),
        lambda: cluster.clear_attribute("compute-1", name),
        lambda: cluster.restart_service("compute-1", name, timeout_s=60.0),
    ):
        with pytest.raises(UsageError):
            call()

    script.finish()
