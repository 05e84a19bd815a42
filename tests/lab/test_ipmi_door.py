"""The lab's BMCs, as two independent clients see them: pyghmi and ipmitool."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.fakes.chassis import PASSWORD, USER, FakeChassis, bmcs

ASK_FOR_AUTHENTICATION = bytes.fromhex("0600ff07 00 00000000 00000000 09 2018c8 8100388e04b5")

# pyghmi keeps threads and sockets for the life of a process: each login has a process of its own.
CONSOLE = """
import json, sys
from pyghmi.ipmi.command import Command
port, user, password, requests = json.loads(sys.argv[1])
try:
    bmc = Command("127.0.0.1", userid=user.encode(), password=password.encode(), port=port)
    answers = [bmc.raw_command(netfn=n, command=c, data=d) for n, c, d in requests]
    print(json.dumps({"code_length": bmc.ipmi_session.currhashlen,
                      "answers": [[a["code"], list(a["data"])] for a in answers]}))
    bmc.ipmi_session.logout()
except Exception as error:
    print(json.dumps({"error": str(error)}))
"""
Request = tuple[int, int, list[int]]
STATUS: Request = (0, 1, [])
OFF, ON, CYCLE, RESET = ((0, 2, [order]) for order in range(4))

needs_ipmitool = pytest.mark.skipif(not shutil.which("ipmitool"), reason="needs ipmitool")


def pyghmi(
    port: int,
    *requests: Request,
    user: str = USER,
    password: str = PASSWORD,
) -> dict[str, Any]:
    """Log in with pyghmi, send raw requests, and return what came back."""
    words = json.dumps([port, user, password, requests])
    done = subprocess.run(
        [sys.executable, "-I", "-c", CONSOLE, words],
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def ipmitool(
    port: int, *words: str, user: str = USER, password: str = PASSWORD
) -> subprocess.CompletedProcess[str]:
    """Run ipmitool against one BMC."""
    argv = ["ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(port), "-U", user, "-E"]
    return subprocess.run(
        [*argv, *words],
        env={"IPMI_PASSWORD": password, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def udp_answer(port: int, packet: bytes, *, within_s: float) -> bytes | None:
    """Send one datagram; None when nothing comes back in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as console:
        console.settimeout(within_s)
        console.sendto(packet, ("127.0.0.1", port))
        try:
            return console.recv(2048)
        except TimeoutError:
            return None


@pytest.mark.parametrize(("suite", "code_length"), [(3, 12), (17, 16)])
def test_pyghmi_logs_in_and_reads_the_power_with_each_suite(suite: int, code_length: int) -> None:
    """Both cipher suites work; with suite 3 alone on offer a client falls back to it."""
    with bmcs({"on": FakeChassis(), "off": FakeChassis(on=False)}, suites=(suite,)) as ports:
        told = [pyghmi(ports["on"], STATUS), pyghmi(ports["off"], STATUS)]

    assert told == [
        {"code_length": code_length, "answers": [[0, [1, 0, 0]]]},
        {"code_length": code_length, "answers": [[0, [0, 0, 0]]]},
    ]


def test_orders_reach_the_machine_behind_the_bmc_and_no_other() -> None:
    """Off, on, cycle and reset are carried out in order, on the one machine."""
    machine, neighbour = FakeChassis(), FakeChassis()
    with bmcs({"machine": machine, "neighbour": neighbour}) as ports:
        told = pyghmi(ports["machine"], OFF, STATUS, ON, STATUS, CYCLE, RESET)

    codes_and_data = [[0, []], [0, [0, 0, 0]], [0, []], [0, [1, 0, 0]], [0, []], [0, []]]
    assert told["answers"] == codes_and_data
    assert machine.orders == ["off", "on", "reset", "reset"]
    assert neighbour.orders == []


def test_what_a_bmc_cannot_do_has_the_completion_code_of_the_specification() -> None:
    """C1 unknown command, CC unknown order, D5 reset of a machine that is off, D4 no privilege."""
    machine = FakeChassis(on=False)
    unknown: Request = (0x0A, 0x10, [])
    no_such_order, become_user = (0, 2, [9]), (6, 0x3B, [2])
    with bmcs({"machine": machine}) as ports:
        told = pyghmi(ports["machine"], unknown, no_such_order, RESET, become_user, ON)

    assert [code for code, _ in told["answers"]] == [0xC1, 0xCC, 0xD5, 0, 0xD4]
    assert machine.orders == []


def test_a_wrong_login_fails_as_on_a_real_bmc() -> None:
    """A wrong password breaks the proof in RAKP 2; an unknown user is told so."""
    with bmcs({"machine": FakeChassis(), "strange": FakeChassis(denied=True)}) as ports:
        told = [
            pyghmi(ports["machine"], STATUS, password="guess"),
            pyghmi(ports["machine"], STATUS, user="nobody"),
            pyghmi(ports["strange"], STATUS),
        ]

    assert told == [
        {"error": "Incorrect password provided"},
        {"error": "Unauthorized name in RAKP2"},
        {"error": "Incorrect password provided"},
    ]


def test_a_silent_bmc_drops_every_packet_and_its_neighbour_answers() -> None:
    """Silence is a state of one BMC and ends with it."""
    machine = FakeChassis(silent_after=0)
    with bmcs({"machine": machine, "neighbour": FakeChassis()}) as ports:
        silent = udp_answer(ports["machine"], ASK_FOR_AUTHENTICATION, within_s=0.3)
        neighbour = udp_answer(ports["neighbour"], ASK_FOR_AUTHENTICATION, within_s=5)
        machine.silent_after = None
        again = udp_answer(ports["machine"], ASK_FOR_AUTHENTICATION, within_s=5)

    assert silent is None
    assert neighbour is not None
    assert again == neighbour


def test_a_slow_bmc_holds_its_answers_for_its_delay_over_the_speed() -> None:
    """Ten seconds at twenty times the speed are half a second."""
    with bmcs({"machine": FakeChassis(delay_s=10)}, speed=20) as ports:
        asked_at = time.monotonic()
        answer = udp_answer(ports["machine"], ASK_FOR_AUTHENTICATION, within_s=9)
        took_s = time.monotonic() - asked_at

    assert answer is not None
    assert 0.5 <= took_s < 5


def test_noise_is_dropped_and_the_bmc_lives_on() -> None:
    """Cut, foreign and unsigned packets are neither answered nor fatal."""
    whole = ASK_FOR_AUTHENTICATION
    in_no_session = bytes.fromhex("0600ff07 06 c0 01000000 01000000 2000") + bytes(48)
    noise = [whole[:length] for length in range(len(whole))]
    noise += [bytes(40), in_no_session]
    noise += [bytes.fromhex(f"0600ff07 06 {kind:02x} 00000000 00000000 0000") for kind in range(64)]
    with (
        bmcs({"machine": FakeChassis()}) as ports,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as console,
    ):
        console.settimeout(5)
        for packet in [*noise, whole]:
            console.sendto(packet, ("127.0.0.1", ports["machine"]))
        first_answer = console.recv(2048)
        expected = udp_answer(ports["machine"], whole, within_s=5)

    assert first_answer == expected


def test_a_stopped_door_leaves_no_thread_and_no_port() -> None:
    """The ports can be bound again at once."""
    threads = threading.active_count()
    with bmcs({f"host-{n}": FakeChassis() for n in range(40)}) as ports:
        while_open = threading.active_count()

    assert (while_open, threading.active_count()) == (threads + 1, threads)
    assert len(set(ports.values())) == 40
    for port in ports.values():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))


@needs_ipmitool
@pytest.mark.parametrize("suite", [["-C", "3"], ["-C", "17"], []], ids=["3", "17", "best"])
def test_ipmitool_logs_in_with_each_suite_and_chooses_one_itself(suite: list[str]) -> None:
    """Without -C it asks for the list of suites first, and takes the best."""
    machine = FakeChassis()
    with bmcs({"machine": machine}) as ports:
        done = [
            ipmitool(ports["machine"], *suite, "chassis", "power", word).stdout
            for word in ("status", "off", "status", "on", "cycle")
        ]

    assert done == [
        "Chassis Power is on\n",
        "Chassis Power Control: Down/Off\n",
        "Chassis Power is off\n",
        "Chassis Power Control: Up/On\n",
        "Chassis Power Control: Cycle\n",
    ]
    assert machine.orders == ["off", "on", "reset"]


@needs_ipmitool
def test_ipmitool_is_refused_what_a_real_bmc_refuses() -> None:
    """Wrong password, unknown user, a suite that is not on offer, an unknown command."""
    with bmcs({"machine": FakeChassis()}, suites=(17,)) as ports:
        port = ports["machine"]
        failures = [
            ipmitool(port, "-C", "17", "mc", "info", password="guess"),
            ipmitool(port, "-C", "17", "mc", "info", user="nobody"),
            ipmitool(port, "-C", "3", "mc", "info"),
            ipmitool(port, "-C", "17", "raw", "0x0a", "0x10"),
        ]

    assert [failure.returncode for failure in failures] == [1, 1, 1, 1]
    assert "no matching cipher suite" in failures[2].stderr
    assert "rsp=0xc1" in failures[3].stderr
