from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import pytest

from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import CommandRunner, Completed, NotStarted, TimeLimitPassed
from hacli.domain.cluster import NodeState
from hacli.errors import HacliError, NotPermitted, Unreachable, Unreadable, UsageError
from hacli.ports import Cluster, FenceAnswer, FenceResult
from tests.adapters.pacemaker_recordings import recording

CRM_MON = "crm_mon --one-shot --inactive --output-as=xml"
CIB = "cibadmin --query"
CIB_HEAD = "cibadmin --query --no-children"
NODE_STATE = "cibadmin --query --xpath //node_state[@uname='compute-1']"
FENCE = "stonith_admin --fence compute-1 --timeout 59"
ATTRIBUTE = "crm_attribute --node compute-1 --name hacli-evacuating --lifetime forever"

HEAD = '<cib epoch="5" have-quorum="1" dc-uuid="1"/>'
GONE_STATE = '<node_state uname="compute-1" in_ccm="false" node_fenced="1795326705"/>'


@dataclass(frozen=True, kw_only=True)
class Call:
    """One command that is expected, and how it ends."""

    command: str
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    ends_with: HacliError | None = None
    once: bool = False  # an order: through one prefix only
    timeout_s: float = 20.0


@dataclass
class Script:
    """Expected commands in order; those in one tuple may come in any order, at once.

    A command that is not expected now fails the test, as do leftovers (``finish``).
    """

    steps: list[tuple[Call, ...]]
    _lock: Lock = field(default_factory=Lock)

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return self._take(argv, once=False, timeout_s=timeout_s)

    def run_once(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return self._take(argv, once=True, timeout_s=timeout_s)

    def _take(self, argv: Sequence[str], *, once: bool, timeout_s: float) -> Completed:
        with self._lock:
            assert self.steps, f"not expected any more: {argv}"
            step = self.steps.pop(0)
            call = next((call for call in step if call.command == " ".join(argv)), None)
            assert call is not None, f"{argv} in place of {[call.command for call in step]}"
            if rest := tuple(other for other in step if other is not call):
                self.steps.insert(0, rest)
        assert (call.once, call.timeout_s) == (once, timeout_s)
        if call.ends_with is not None:
            raise call.ends_with
        return Completed(
            argv=tuple(argv), exit_code=call.exit_code, stdout=call.stdout, stderr=call.stderr
        )

    def finish(self) -> None:
        """Everything that was expected has happened."""
        assert not self.steps


def pacemaker(*steps: Call | tuple[Call, ...]) -> tuple[Pacemaker, Script]:
    """The adapter over a script, with a clock that stands at 7.5 s."""
    script = Script([step if isinstance(step, tuple) else (step,) for step in steps])
    return Pacemaker(script, monotonic=lambda: 7.5, timeout_s=20.0), script


def order(exit_code: int = 0, stderr: str = "", **call: object) -> Call:
    """The fencing order, allowed 60 s."""
    return Call(
        command=FENCE,
        once=True,
        timeout_s=60.0,
        exit_code=exit_code,
        stderr=stderr,
        **call,  # type: ignore[arg-type] # fields of Call
    )


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


@pytest.mark.parametrize(
    ("end", "answer", "exit_code", "message"),
    [
        (order(0), FenceAnswer.CONFIRMED, 0, ""),
        (
            order(1, "stonith_admin: Couldn't fence compute-1: No route to host\n"),
            FenceAnswer.FAILED,
            1,
            "stonith_admin: Couldn't fence compute-1: No route to host",
        ),
        (order(105, "No such device"), FenceAnswer.NO_DEVICE, 105, "No such device"),
        (order(124, "Timer expired"), FenceAnswer.PENDING, 124, "Timer expired"),
        (order(-9), FenceAnswer.PENDING, -9, ""),
        (order(137), FenceAnswer.PENDING, 137, ""),
        (order(255, "Connection closed"), FenceAnswer.PENDING, 255, "Connection closed"),
        (
            order(ends_with=TimeLimitPassed(source="stonith_admin", why="no answer within 60 s")),
            FenceAnswer.PENDING,
            None,
            "no answer within 60 s",
        ),
        (
            order(ends_with=Unreadable(source="command", why="more output")),
            FenceAnswer.PENDING,
            None,
            "more output",
        ),
    ],
    ids=[
        "confirmed",
        "failed",
        "no device",
        "time-out in the cluster",
        "client killed",
        "client killed at the other end",
        "ssh broke",
        "our time limit",
        "mad output",
    ],
)
def test_a_fencing_order_ends_in_what_is_known_of_it(
    end: Call, answer: FenceAnswer, exit_code: int | None, message: str
) -> None:
    """Given once; only exit 0 is a success; whatever may still be carried out is pending."""
    cluster, script = pacemaker(end)

    result = cluster.fence_off("compute-1", timeout_s=60.0)

    script.finish()
    assert result == FenceResult(answer=answer, exit_code=exit_code, message=message)


@pytest.mark.parametrize(
    "end",
    [
        order(102, "Transport endpoint is not connected"),
        order(ends_with=NotStarted(source="stonith_admin", why="cannot start stonith_admin")),
    ],
    ids=["no cluster here", "no tool here"],
)
def test_an_order_that_certainly_was_not_given_is_an_error(end: Call) -> None:
    """Another way of fencing may be taken at once."""
    cluster, script = pacemaker(end)

    with pytest.raises(Unreachable):
        cluster.fence_off("compute-1", timeout_s=60.0)

    script.finish()


def test_a_confirmation_is_given_once() -> None:
    """It says that a person, or our proof, vouches for the node being down."""
    cluster, script = pacemaker(Call(command="stonith_admin --confirm compute-1", once=True))

    cluster.confirm_off("compute-1")

    script.finish()


def test_a_confirmation_that_fails_says_so() -> None:
    """Pacemaker then goes on trying to fence."""
    cluster, _ = pacemaker(
        Call(command="stonith_admin --confirm compute-1", once=True, exit_code=102)
    )

    with pytest.raises(Unreachable):
        cluster.confirm_off("compute-1")


def test_an_attribute_is_written_for_ever_and_read_back() -> None:
    """``--lifetime forever``: a transient one would vanish with the fencing."""
    cluster, script = pacemaker(
        Call(command=f"{ATTRIBUTE} --update 1"),
        Call(command=f"{ATTRIBUTE} --query --quiet", stdout="1\n"),
    )

    cluster.write_attribute("compute-1", "hacli-evacuating", "1")

    script.finish()


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        ({"stdout": "0\n"}, Unreadable, "the CIB has '0'"),
        ({"exit_code": 105}, Unreadable, "the CIB has nothing"),
        ({"exit_code": 102}, Unreachable, "not connected"),
    ],
    ids=["another value", "not there", "cannot be asked"],
)
def test_an_attribute_that_is_not_read_back_was_not_written(
    answer: dict[str, object], error: type[HacliError], why: str
) -> None:
    """An exit code of 0 alone is not believed."""
    cluster, _ = pacemaker(
        Call(command=f"{ATTRIBUTE} --update 1"),
        Call(command=f"{ATTRIBUTE} --query --quiet", **answer),  # type: ignore[arg-type] # fields of Call
    )

    with pytest.raises(error, match=why):
        cluster.write_attribute("compute-1", "hacli-evacuating", "1")


def test_an_attribute_that_cannot_be_written_is_not_read_back() -> None:
    """An unknown node: crm_attribute exits 105 and changes nothing."""
    cluster, script = pacemaker(
        Call(
            command=f"{ATTRIBUTE} --update 1",
            exit_code=105,
            stderr="crm_attribute: Could not map name=compute-1 to a UUID\n",
        )
    )

    with pytest.raises(Unreadable, match="Could not map name=compute-1 to a UUID"):
        cluster.write_attribute("compute-1", "hacli-evacuating", "1")

    script.finish()


def test_an_attribute_is_cleared_and_read_back() -> None:
    """Deleting what is not there exits 0, too; asking for it exits 105."""
    cluster, script = pacemaker(
        Call(command=f"{ATTRIBUTE} --delete"),
        Call(command=f"{ATTRIBUTE} --query --quiet", exit_code=105),
    )

    cluster.clear_attribute("compute-1", "hacli-evacuating")

    script.finish()


def test_an_attribute_that_is_still_there_was_not_cleared() -> None:
    """The gate would stay shut, and the operator must know."""
    cluster, _ = pacemaker(
        Call(command=f"{ATTRIBUTE} --delete"),
        Call(command=f"{ATTRIBUTE} --query --quiet", stdout="1\n"),
    )

    with pytest.raises(Unreadable, match="the CIB has '1'"):
        cluster.clear_attribute("compute-1", "hacli-evacuating")


def test_a_service_is_restarted_on_one_node_with_time_to_end_by_itself() -> None:
    """Killed half-way, crm_resource would leave its ban of the service on the node."""
    command = "crm_resource --restart --resource nova-compute --node compute-1 --timeout 60s"
    cluster, script = pacemaker(Call(command=command, once=True, timeout_s=120.0))

    cluster.restart_service("compute-1", "nova-compute", timeout_s=120.0)

    script.finish()


def test_a_restart_that_fails_says_why() -> None:
    """With the tool's own words."""
    command = "crm_resource --restart --resource nova-compute --node compute-1 --timeout 60s"
    cluster, _ = pacemaker(
        Call(
            command=command,
            once=True,
            timeout_s=120.0,
            exit_code=1,
            stderr="nova-compute is not running on compute-1 and so cannot be restarted\n",
        )
    )

    with pytest.raises(Unreadable, match="is not running on compute-1"):
        cluster.restart_service("compute-1", "nova-compute", timeout_s=120.0)
