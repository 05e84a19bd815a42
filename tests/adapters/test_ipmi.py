"""The IPMI driver against the lab's BMCs, over real UDP and through its real helper process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from hacli.adapters.ipmi import Answer, IpmiHelper, IpmiPower
from hacli.domain.power import Bmc, PowerState
from hacli.errors import NotPermitted, SourceError, Unreachable
from tests.eventually import eventually
from tests.fakes.chassis import PASSWORD, USER, FakeChassis, bmcs

# What pyghmi needs for one read: authentication, open, RAKP 1, RAKP 3, privilege, status.
PACKETS_OF_A_READ = 6
EACH_RAKP_1 = 3  # of what pyghmi sends when it tries the login again and again


def endless() -> dict[str, FakeChassis]:
    """Three machines at whose BMCs pyghmi alone would try to log in for ever."""
    return {f"endless-{n}": FakeChassis(drops_every=EACH_RAKP_1) for n in range(3)}


@pytest.fixture
def helper() -> Iterator[IpmiHelper]:
    """A helper that ends with the test."""
    one = IpmiHelper()
    yield one
    one.close()


def bmc(port: int, *, user: str = USER, password: str = PASSWORD) -> Bmc:
    """A BMC of the lab."""
    return Bmc(
        driver="ipmi",
        address="127.0.0.1",
        port=port,
        user=user,
        password=password,
        origin="configuration",
    )


def processes(parent: int) -> frozenset[int]:
    """The living children of a process (a zombie is not living)."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(ppid) == parent and state != "Z":
                found.add(int(folder.name))
    return frozenset(found)


def helpers_of(parent: int) -> frozenset[int]:
    """The helper processes that a process has started."""
    return frozenset(pid for pid in processes(parent) if b"ipmi_helper.py" in open_to_all(pid))


def open_to_all(pid: int) -> bytes:
    """The command line and the environment of a process."""
    folder = Path(f"/proc/{pid}")
    try:
        return (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def failure_of(error: pytest.ExceptionInfo[SourceError]) -> tuple[type[SourceError], str, str]:
    """The kind of an error, whom it is about, and why."""
    return error.type, error.value.source, error.value.why


@pytest.mark.parametrize("suite", [3, 17])
def test_power_is_read_and_ordered_with_each_cipher_suite(helper: IpmiHelper, suite: int) -> None:
    """Off and on are orders to the machine; reading tells what the BMC reports."""
    machine = FakeChassis()
    with bmcs({"machine": machine}, suites=(suite,)) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"]), helper=helper)
        seen = [switch.read_state()]
        switch.power_off()
        seen.append(switch.read_state())
        switch.power_on()
        seen.append(switch.read_state())

    assert seen == [PowerState.ON, PowerState.OFF, PowerState.ON]
    assert machine.orders == ["off", "on"]


def test_off_is_ordered_also_when_the_bmc_claims_to_be_off(helper: IpmiHelper) -> None:
    """A claim is no reason to save the order: the BMC may be wrong, and the order is harmless."""
    machine = FakeChassis(on=False)
    with bmcs({"machine": machine}) as ports:
        IpmiPower(bmc=bmc(ports["machine"]), helper=helper).power_off()

    assert machine.orders == ["off"]


def test_an_accepted_order_proves_nothing(helper: IpmiHelper) -> None:
    """A stuck machine stays on, and reading says so."""
    with bmcs({"machine": FakeChassis(stuck=True)}) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"]), helper=helper)
        switch.power_off()
        state = switch.read_state()

    assert state is PowerState.ON


@pytest.mark.parametrize(
    ("machine", "user", "password", "words"),
    [
        (FakeChassis(), USER, "guess-0815", "Incorrect password provided"),
        (FakeChassis(), "nobody-0815", PASSWORD, "Unauthorized name in RAKP2"),
        (FakeChassis(denied=True), USER, PASSWORD, "Incorrect password provided"),
    ],
    ids=["wrong password", "unknown user", "denied"],
)
def test_a_refused_login_is_not_permitted(
    helper: IpmiHelper, machine: FakeChassis, user: str, password: str, words: str
) -> None:
    """A refusal is told apart from silence, in the BMC's words and without the login."""
    with bmcs({"machine": machine}) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"], user=user, password=password), helper=helper)
        with pytest.raises(SourceError) as error:
            switch.read_state()

    assert failure_of(error) == (NotPermitted, switch.bmc.label, f"it refuses us: {words}")
    assert user not in repr(error.value) + str(error.value)
    assert password not in repr(error.value) + str(error.value)


@pytest.mark.parametrize(
    "machine",
    [
        FakeChassis(silent_after=0),
        FakeChassis(drops_every=EACH_RAKP_1),  # pyghmi alone would try for ever
        FakeChassis(silent_after=PACKETS_OF_A_READ - 1),
        FakeChassis(delay_s=10),
    ],
    ids=["silent", "silent to every login", "silent after the login", "slow"],
)
def test_no_answer_is_unreachable_at_the_time_limit(
    helper: IpmiHelper, machine: FakeChassis
) -> None:
    """Whatever pyghmi would do, the operation ends, and so does the process that ran it."""
    with bmcs({"machine": machine}) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"]), helper=helper, timeout_s=1)
        asked_at = time.monotonic()
        with pytest.raises(SourceError) as error:
            switch.read_state()
        took_s = time.monotonic() - asked_at
    (pid,) = helpers_of(os.getpid())

    assert failure_of(error) == (Unreachable, switch.bmc.label, "no answer within 1 s")
    assert 1 <= took_s < 4
    assert processes(pid) == frozenset()


class SlowToConfirm(FakeChassis):
    """Obeys at once and says so much later."""

    def order_off(self) -> None:
        super().order_off()
        self.delay_s = 10


def test_an_order_without_an_answer_may_have_been_carried_out(helper: IpmiHelper) -> None:
    """The order arrives, the answer does not: the error must not sound like nothing happened."""
    machine = SlowToConfirm()
    with bmcs({"machine": machine}) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"]), helper=helper, timeout_s=1)
        with pytest.raises(Unreachable) as error:
            switch.power_off()

    assert error.value.why == "no answer within 1 s; the order may have been carried out"
    assert not machine.on


def test_sixty_bmcs_are_asked_at_the_same_time(helper: IpmiHelper) -> None:
    """Each BMC takes a quarter of a second; all together take nothing like sixty quarters."""
    chassis = {f"host-{n}": FakeChassis(on=n % 3 > 0, delay_s=0.04) for n in range(60)}
    with bmcs(chassis) as ports, ThreadPoolExecutor(60) as threads:
        switches = [IpmiPower(bmc=bmc(port), helper=helper) for port in ports.values()]
        switches[0].read_state()  # the helper's start is not what is compared
        begun_at = time.monotonic()
        switches[0].read_state()
        one_s = time.monotonic() - begun_at
        states = list(threads.map(IpmiPower.read_state, switches))
        all_s = time.monotonic() - begun_at - one_s

    assert states == [PowerState.ON if n % 3 else PowerState.OFF for n in range(60)]
    assert all_s < 20 * one_s


def test_more_operations_than_the_limit_wait_for_their_turn() -> None:
    """200 reads with 32 at once: all answered, and never more than 32 children."""
    helper = IpmiHelper(limit=32)
    with bmcs({f"host-{n}": FakeChassis(delay_s=0.04) for n in range(100)}) as ports:
        switches = [IpmiPower(bmc=bmc(port), helper=helper) for port in ports.values()] * 2
        switches[0].read_state()
        (pid,) = helpers_of(os.getpid())
        with ThreadPoolExecutor(200) as threads:
            reads = [threads.submit(switch.read_state) for switch in switches]
            most = 0
            while wait(reads, timeout=0.02).not_done:
                most = max(most, len(processes(pid)))
        states = [read.result() for read in reads]
        helper.close()

    assert states == [PowerState.ON] * 200
    assert 1 < most <= 32


def test_answers_come_in_the_order_of_completion(helper: IpmiHelper) -> None:
    """A silent BMC holds up nobody else."""
    chassis = {"silent": FakeChassis(silent_after=0), "quick": FakeChassis()}
    with bmcs(chassis) as ports, ThreadPoolExecutor(1) as threads:
        silent = IpmiPower(bmc=bmc(ports["silent"]), helper=helper, timeout_s=2)
        waiting = threads.submit(silent.read_state)
        state = IpmiPower(bmc=bmc(ports["quick"]), helper=helper).read_state()
        still_waiting = not waiting.done()
        error = waiting.exception()

    assert (state, still_waiting, type(error)) == (PowerState.ON, True, Unreachable)


def test_a_killed_operation_gives_its_place_to_the_next() -> None:
    """With room for one, the read after a silent BMC still works."""
    helper = IpmiHelper(limit=1)
    with bmcs({"silent": FakeChassis(silent_after=0), "quick": FakeChassis()}) as ports:
        with pytest.raises(Unreachable):
            IpmiPower(bmc=bmc(ports["silent"]), helper=helper, timeout_s=0.5).read_state()
        state = IpmiPower(bmc=bmc(ports["quick"]), helper=helper).read_state()
        helper.close()

    assert state is PowerState.ON


def test_a_killed_helper_fails_what_waits_and_is_started_again(helper: IpmiHelper) -> None:
    """Its children die with it; the next question has a new process."""
    with bmcs({**endless(), "quick": FakeChassis()}) as ports, ThreadPoolExecutor(3) as threads:
        *waiting_for, quick = [
            IpmiPower(bmc=bmc(port), helper=helper, timeout_s=50) for port in ports.values()
        ]
        quick.read_state()
        (killed,) = helpers_of(os.getpid())
        waiting = [threads.submit(switch.read_state) for switch in waiting_for]
        eventually(lambda: len(processes(killed)) == 3)
        children = processes(killed)
        os.kill(killed, signal.SIGKILL)
        errors = [str(one.exception(timeout=10)) for one in waiting]
        state = quick.read_state()
        eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children))

    gone = "the IPMI helper process ended"
    assert errors == [f"{switch.bmc.label}: {gone}" for switch in waiting_for]
    assert state is PowerState.ON


def test_a_helper_that_hangs_is_ended(helper: IpmiHelper) -> None:
    """Every wait has an end, also when the helper itself is stopped."""
    with bmcs({"machine": FakeChassis()}) as ports:
        switch = IpmiPower(bmc=bmc(ports["machine"]), helper=helper, timeout_s=0.5)
        switch.read_state()
        (stopped,) = helpers_of(os.getpid())
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(Unreachable, match="the IPMI helper process hangs"):
            switch.read_state()
        state = switch.read_state()

    assert state is PowerState.ON


HACLI_DIES = """
import sys, threading
from hacli.adapters.ipmi import IpmiHelper, IpmiPower
from hacli.domain.power import Bmc
helper = IpmiHelper()
for port in sys.argv[1:]:
    bmc = Bmc(driver="ipmi", address="127.0.0.1", port=int(port), user="u", password="p",
              origin="configuration")
    switch = IpmiPower(bmc=bmc, helper=helper, timeout_s=50)
    threading.Thread(target=switch.read_state).start()
"""


def test_no_process_is_left_when_hacli_is_killed() -> None:
    """Not even by SIGKILL, and not even in the middle of logins that never end."""
    with bmcs(endless()) as ports:
        argv = [sys.executable, "-c", HACLI_DIES, *map(str, ports.values())]
        hacli = subprocess.Popen(argv)
        eventually(lambda: len(helpers_of(hacli.pid)) == 1)
        (pid,) = helpers_of(hacli.pid)
        eventually(lambda: len(processes(pid)) == 3)
        family = {pid, *processes(pid)}
        hacli.kill()
        hacli.wait()
        eventually(lambda: not any(Path(f"/proc/{member}").exists() for member in family))


def test_closing_ends_the_helper_and_fails_what_waits() -> None:
    """Nothing goes on in the background after the end of the command."""
    helper = IpmiHelper()
    with (
        bmcs({"silent": FakeChassis(silent_after=0)}) as ports,
        ThreadPoolExecutor(1) as threads,
    ):
        switch = IpmiPower(bmc=bmc(ports["silent"]), helper=helper, timeout_s=50)
        waiting = threads.submit(switch.read_state)
        eventually(lambda: len(helpers_of(os.getpid())) == 1)
        helper.close()
        error = waiting.exception(timeout=10)

    assert type(error) is Unreachable
    assert helpers_of(os.getpid()) == frozenset()


def test_the_login_is_in_no_argument_environment_or_repr(helper: IpmiHelper) -> None:
    """It reaches the helper by a pipe, and every child by being forked from it."""
    with (
        bmcs({"silent": FakeChassis(silent_after=0)}) as ports,
        ThreadPoolExecutor(1) as threads,
    ):
        switch = IpmiPower(bmc=bmc(ports["silent"]), helper=helper, timeout_s=2)
        waiting = threads.submit(switch.read_state)
        eventually(lambda: any(map(processes, helpers_of(os.getpid()))))
        (pid,) = helpers_of(os.getpid())
        told = b"".join(map(open_to_all, [pid, *processes(pid)])) + repr(switch).encode()
        waiting.exception()

    assert told.count(b"ipmi_helper.py") == 2
    assert USER.encode() not in told
    assert PASSWORD.encode() not in told


class _FakeHelper(IpmiHelper):
    """Answers without a process."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def ask(self, bmc: Bmc, operation: str, *, timeout_s: float) -> Answer:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (Answer(seconds=5.2, failure="None"), Unreachable, "no answer within 5 s"),
        (Answer(seconds=6.01, expired=True), Unreachable, "no answer within 6 s"),
        (Answer(seconds=30, failure="timeout"), Unreachable, "no answer within 30 s"),
        (Answer(seconds=0.1, failure="Node Busy"), Unreachable, "Node Busy"),
        (
            Answer(seconds=0.1, failure="Insufficient privilege level or firmware firewall"),
            NotPermitted,
            "it refuses us: Insufficient privilege level or firmware firewall",
        ),
    ],
)
def test_failures_are_told_in_words(answer: Answer, kind: type[SourceError], why: str) -> None:
    """Pyghmi's "None" is silence; a refusal is a refusal; the rest is the BMC's own words."""
    with pytest.raises(SourceError) as error:
        IpmiPower(bmc=bmc(623), helper=_FakeHelper(answer)).read_state()

    assert failure_of(error) == (kind, "BMC 127.0.0.1", why)


def test_a_status_without_a_power_bit_is_unknown() -> None:
    """In doubt a machine is neither on nor off."""
    switch = IpmiPower(bmc=bmc(623), helper=_FakeHelper(Answer(seconds=0.1, state="unknown")))

    assert switch.read_state() is PowerState.UNKNOWN
