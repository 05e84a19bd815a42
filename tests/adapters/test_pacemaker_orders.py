import pytest

from hacli.adapters.process import NotStarted, TimeLimitPassed
from hacli.errors import HacliError, Unreachable, Unreadable
from hacli.ports import FenceAnswer, FenceResult
from tests.adapters.scripted_commands import Call, pacemaker

FENCE = "stonith_admin --fence compute-1 --timeout 59"
ATTRIBUTE = "crm_attribute --node compute-1 --name hacli-evacuating --lifetime forever"


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
    command = "crm_resource --restart --resource nova-compute --node compute-1 --timeout 60"
    cluster, script = pacemaker(Call(command=command, once=True, timeout_s=120.0))

    cluster.restart_service("compute-1", "nova-compute", timeout_s=120.0)

    script.finish()


def test_a_restart_that_fails_says_why() -> None:
    """With the tool's own words."""
    command = "crm_resource --restart --resource nova-compute --node compute-1 --timeout 60"
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
