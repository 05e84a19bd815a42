"""The claim through Pacemaker's tools: the exact commands, and what their answers mean."""

import pytest

from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import NotStarted, TimeLimitPassed
from hacli.domain.cluster import ClaimState
from hacli.errors import HacliError, NotPermitted, Unreachable, Unreadable, UsageError
from tests.adapters.scripted_commands import Call, Script, pacemaker

PAIR = '<nvpair id="hacli-claim-compute-1-holder" name="hacli-claim-compute-1" value="v1 run={}"/>'
SET = f'<cluster_property_set id="hacli-claim-compute-1">{PAIR}</cluster_property_set>'
AT = "//nvpair[@id='hacli-claim-compute-1-holder']"
CREATE = f"cibadmin --create --scope crm_config --xml-text {SET.format('a')}"
REPLACE = (
    "cibadmin --replace --xpath //nvpair[@id='hacli-claim-compute-1-holder' and @value='v1 run=a']"
    f" --xml-text {PAIR.format('b')}"
)
READ = f"cibadmin --query --no-children --xpath /cib | {AT}"
DELETE = (
    "cibadmin --delete --xpath "
    "//cluster_property_set[@id='hacli-claim-compute-1' and nvpair/@value='v1 run=a']"
)
AFTER = f"cibadmin --query --xpath {AT}"
HEAD = '<cib have-quorum="{}" {}/>'
GONE = Call(
    command=AFTER,
    exit_code=105,
    stderr="Call failed: No such device or address\n",
    timeout_s=5.0,
)


def both(run: str, quorum: int = 1, dc: str = 'dc-uuid="1"') -> str:
    """Head and claim in one answer."""
    return f"<xpath-query>{HEAD.format(quorum, dc)}{PAIR.format(run)}</xpath-query>"


@pytest.mark.parametrize(("exit_code", "made"), [(0, True), (108, False)])
def test_a_claim_is_created_once(exit_code: int, made: bool) -> None:
    """In one order: a second one would meet our own. 108: somebody has it."""
    cluster, script = pacemaker(Call(command=CREATE, exit_code=exit_code, once=True))

    assert cluster.create_claim("compute-1", "v1 run=a") is made
    script.finish()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (Call(command=CREATE, exit_code=102, once=True), Unreachable),
        (Call(command=CREATE, exit_code=124, once=True), Unreachable),
        (Call(command=CREATE, exit_code=4, once=True), NotPermitted),
        (Call(command=CREATE, exit_code=78, once=True), Unreadable),
        (Call(command=CREATE, exit_code=255, once=True), Unreadable),
        (
            Call(command=CREATE, once=True, ends_with=TimeLimitPassed(source="c", why="20 s")),
            Unreachable,
        ),
        (
            Call(command=CREATE, once=True, ends_with=NotStarted(source="c", why="no")),
            Unreachable,
        ),
    ],
)
def test_any_other_end_of_the_create_is_a_failure_with_a_name(
    end: Call, error: type[HacliError]
) -> None:
    """Neither "we have it" nor "somebody else has it"."""
    cluster, _ = pacemaker(end)

    with pytest.raises(error):
        cluster.create_claim("compute-1", "v1 run=a")


@pytest.mark.parametrize(
    ("steps", "ours"),
    [
        ((Call(command=REPLACE, once=True), Call(command=READ, stdout=both("b"))), True),
        ((Call(command=REPLACE, once=True), Call(command=READ, stdout=both("c"))), False),
        ((Call(command=REPLACE, once=True, exit_code=105),), False),
    ],
    ids=["swapped", "swapped again by another", "not the old value"],
)
def test_a_claim_is_taken_over_only_from_the_value_that_was_read(
    steps: tuple[Call, ...],
    ours: bool,
) -> None:
    """A compare-and-swap, read back."""
    cluster, script = pacemaker(*steps)

    assert cluster.replace_claim("compute-1", "v1 run=a", "v1 run=b") is ours
    script.finish()


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (both("a"), ClaimState(text="v1 run=a", with_quorum=True, dc=True)),
        (both("a", quorum=0), ClaimState(text="v1 run=a", with_quorum=False, dc=True)),
        (both("a", dc=""), ClaimState(text="v1 run=a", with_quorum=True, dc=False)),
        (HEAD.format(1, 'dc-uuid="1"'), ClaimState(text=None, with_quorum=True, dc=True)),
    ],
)
def test_a_claim_is_read_together_with_the_quorum(answer: str, state: ClaimState) -> None:
    """One answer of one CIB; without the claim in it nobody has it."""
    cluster, _ = pacemaker(Call(command=READ, stdout=answer))

    assert cluster.read_claim("compute-1") == state


@pytest.mark.parametrize("answer", ["", "<other/>", PAIR.format("a"), "<xpath-query/>"])
def test_an_answer_without_the_head_says_nothing(answer: str) -> None:
    """Above all not "nobody has it"."""
    cluster, _ = pacemaker(Call(command=READ, stdout=answer))

    with pytest.raises(Unreadable):
        cluster.read_claim("compute-1")


@pytest.mark.parametrize(
    ("after", "left"),
    [
        (GONE, None),
        (Call(command=AFTER, stdout=PAIR.format("b"), timeout_s=5.0), "v1 run=b"),
    ],
    ids=["gone", "another one"],
)
def test_only_our_own_claim_is_deleted(after: Call, left: str | None) -> None:
    """The tool answers 0 also when nothing matched, so it is read back."""
    cluster, script = pacemaker(Call(command=DELETE, once=True, timeout_s=5.0), after)

    assert cluster.delete_claim("compute-1", "v1 run=a", timeout_s=5.0) == left
    script.finish()


def test_a_claim_that_is_still_there_was_not_deleted() -> None:
    """Whatever the exit code said."""
    cluster, _ = pacemaker(
        Call(command=DELETE, once=True, timeout_s=5.0),
        Call(command=AFTER, stdout=PAIR.format("a"), timeout_s=5.0),
    )

    with pytest.raises(Unreadable, match="the CIB has it"):
        cluster.delete_claim("compute-1", "v1 run=a", timeout_s=5.0)


def test_the_claim_comes_with_the_cheap_read_of_a_node() -> None:
    """No command more: the same answer as its ``node_state``."""
    state = '<node_state uname="compute-1" in_ccm="false" node_fenced="9"/>'
    xpath = f"//node_state[@uname='compute-1'] | {AT}"
    cluster, _ = pacemaker(
        (
            Call(command="cibadmin --query --no-children", stdout=HEAD.format(1, 'dc-uuid="1"')),
            Call(
                command=f"cibadmin --query --xpath {xpath}",
                stdout=f"<xpath-query>{PAIR.format('a')}{state}</xpath-query>",
            ),
        )
    )

    read = cluster.read_node_state("compute-1", claim="compute-1")

    assert (read.claim, read.node_fenced, read.in_cluster) == ("v1 run=a", 9, False)


def test_the_own_node_is_told_only_where_the_tools_run_here() -> None:
    """Behind ssh ``crm_node`` would name the other end, where the process does not run."""
    here, _ = pacemaker(Call(command="crm_node --name", stdout="controller-2\n"))
    script = Script([], here=False)
    there = Pacemaker(script, monotonic=lambda: 7.5, timeout_s=20.0)

    assert here.read_own_node() == "controller-2"
    assert there.read_own_node() is None


@pytest.mark.parametrize("name", ["", "a'b", "-V", "a b", "a]", "ä"])
def test_a_name_that_could_break_an_expression_is_refused(name: str) -> None:
    """Nothing is run with it."""
    cluster, script = pacemaker()

    for call in (
        lambda: cluster.read_claim(name),
        lambda: cluster.create_claim(name, "v1"),
        lambda: cluster.replace_claim(name, "v1", "v2"),
        lambda: cluster.delete_claim(name, "v1", timeout_s=5.0),
    ):
        with pytest.raises(UsageError):
            call()

    script.finish()
