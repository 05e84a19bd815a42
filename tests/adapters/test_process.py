import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hacli.adapters.process import (
    CommandRunner,
    Completed,
    NotStarted,
    TimeLimitPassed,
)
from hacli.errors import Unreachable, Unreadable
from tests.eventually import eventually

HERE: tuple[str, ...] = ()
NO_SUCH = ("no-such-program-of-hacli",)


def runner(*prefixes: Sequence[str]) -> CommandRunner:
    """A runner with these prefixes, or on this machine."""
    return CommandRunner(prefixes or (HERE,), environment={"PATH": os.environ["PATH"]})


def python(program: str) -> tuple[str, ...]:
    """The words that run a Python program."""
    return (sys.executable, "-I", "-S", "-c", program)


def program(folder: Path, name: str, body: str) -> str:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    """A zombie that nobody has reaped yet counts as dead."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_gives_its_exit_code_and_both_outputs() -> None:
    """What the program wrote and how it ended comes back unchanged."""
    argv = ("sh", "-c", "echo out; echo err >&2; exit 3")

    completed = runner().run(argv, timeout_s=10)

    assert completed == Completed(argv=argv, exit_code=3, stdout="out\n", stderr="err\n")


def test_words_reach_the_program_as_they_are() -> None:
    """There is no shell: quotes, spaces, dollars and stars are plain characters."""
    words = ("//node_state[@uname='compute-1']", "a b", "$HOME", "*", "")

    completed = runner().run((*python("import sys; print(sys.argv[1:])"), *words), timeout_s=10)

    assert completed.stdout == f"{list(words)}\n"


def test_words_behind_ssh_are_quoted_for_the_shell_at_its_other_end(tmp_path: Path) -> None:
    """Ssh joins its words with spaces and gives them to a shell, as this stand-in does."""
    ssh = program(tmp_path, "ssh", 'shift; exec sh -c "$*"')
    words = ("//node_state[@uname='compute-1']", "a b", "$HOME", "*", "")

    completed = runner((ssh, "controller-0")).run(
        (*python("import sys; print(sys.argv[1:])"), *words), timeout_s=10
    )

    assert completed.stdout == f"{list(words)}\n"


def test_a_child_gets_nothing_of_our_environment_but_what_it_needs() -> None:
    """No password of the operator and no CIB_file, which would show a file as the cluster."""
    program = python("import os; print(sorted(os.environ.items()))")
    ours = {"HOME": "/root", "SSH_AUTH_SOCK": "/agent", "CIB_file": "x", "OS_PASSWORD": "x"}

    completed = CommandRunner((HERE,), environment=ours).run(program, timeout_s=10)

    seen = dict(eval(completed.stdout))  # noqa: S307 - our own program's words
    seen.pop("LC_CTYPE", None)
    assert seen.pop("PATH").startswith("/usr/local/sbin:")
    assert seen == {"HOME": "/root", "SSH_AUTH_SOCK": "/agent", "LC_ALL": "C", "TZ": "UTC"}


def test_the_tools_of_the_administrator_are_found_with_the_path_of_cron() -> None:
    """Cron's PATH is /usr/bin:/bin, and Pacemaker's tools are in /usr/sbin."""
    commands = CommandRunner((HERE,), environment={"PATH": "/usr/bin:/bin"})

    completed = commands.run(("sh", "-c", "echo $PATH"), timeout_s=10)

    assert "/usr/sbin" in completed.stdout.strip().split(":")


def test_stdin_is_empty_unless_given() -> None:
    """A program that asks gets the end of the file, not our terminal."""
    assert runner().run(("cat",), timeout_s=10).stdout == ""


def test_stdin_reaches_the_program_whole() -> None:
    """More than a pipe holds, while the program writes as much."""
    text = "0123456789" * 100_000

    assert runner().run(("cat",), timeout_s=10, stdin=text.encode()).stdout == text


def test_a_child_has_no_terminal_to_ask_on() -> None:
    """Ssh and sudo ask for passwords on /dev/tty, whatever stdin is."""
    assert runner().run(("sh", "-c", ": < /dev/tty"), timeout_s=10).exit_code != 0


def test_output_does_not_show_in_a_repr() -> None:
    """A CIB holds the passwords of the BMCs."""
    completed = runner().run(("echo", "labsecret"), timeout_s=10)

    assert completed.stdout == "labsecret\n"
    assert "labsecret" not in repr(completed).replace("argv=('echo', 'labsecret')", "")


def test_at_the_time_limit_the_whole_process_group_is_killed(tmp_path: Path) -> None:
    """A child of the child holds the pipes and would work on; it dies with its parent."""
    pids = tmp_path / "pids"
    argv = ("sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait")
    started = time.monotonic()

    with pytest.raises(Unreachable, match="no answer within 0 s"):
        runner().run(argv, timeout_s=0.4)

    assert time.monotonic() - started < 5
    assert pids.read_text().split()
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def test_a_command_ends_when_its_program_ends() -> None:
    """A background process that keeps the pipes open (an ssh master) does not hold us."""
    started = time.monotonic()

    completed = runner().run(("sh", "-c", "sleep 3 & echo done"), timeout_s=10)

    assert completed.stdout == "done\n"
    assert time.monotonic() - started < 2


def test_a_huge_output_arrives_whole() -> None:
    """A CIB of hundreds of nodes is many pipes full."""
    completed = runner().run(python("print('x' * 8_000_000)"), timeout_s=20)

    assert len(completed.stdout) == 8_000_001


def test_an_endless_output_is_cut_off() -> None:
    """A tool gone mad must not take the memory of the machine that is to recover hosts."""
    with pytest.raises(Unreadable, match="more output"):
        runner().run(("cat", "/dev/zero"), timeout_s=20)


def test_bytes_that_are_no_text_do_not_break_the_call() -> None:
    """They become replacement characters; the parser judges them."""
    assert runner().run(("printf", r"a\377b"), timeout_s=10).stdout == "a\ufffdb"


def test_a_missing_program_is_unreachable() -> None:
    """The error names the program."""
    with pytest.raises(Unreachable, match="cannot start no-such-program-of-hacli: No such file"):
        runner().run(NO_SUCH, timeout_s=10)


@pytest.mark.parametrize(
    "body",
    [
        "echo 'ssh: connect to host controller-0 port 22: No route to host' >&2; exit 255",
        "exit 127",
    ],
    ids=["ssh cannot connect", "program missing at the other end"],
)
def test_the_next_prefix_is_used_when_one_cannot_run_the_command(tmp_path: Path, body: str) -> None:
    """A dead controller, or one without Pacemaker's tools, is passed over."""
    dead = program(tmp_path, "ssh", body)

    completed = runner((dead, "controller-0"), HERE).run(("echo", "hello"), timeout_s=10)

    assert completed.stdout == "hello\n"


def test_a_prefix_that_does_not_exist_is_passed_over() -> None:
    """This machine may have no ssh at all."""
    assert runner(NO_SUCH, HERE).run(("echo", "hello"), timeout_s=10).stdout == "hello\n"


def test_a_prefix_that_hangs_leaves_time_for_the_next(tmp_path: Path) -> None:
    """Ssh to a machine without power waits for minutes; the limit holds for the whole call."""
    hanging = program(tmp_path, "ssh", "sleep 60")
    started = time.monotonic()

    completed = runner((hanging, "controller-0"), HERE).run(("echo", "hello"), timeout_s=2)

    assert completed.stdout == "hello\n"
    assert time.monotonic() - started < 2


def test_the_prefix_that_worked_is_used_first_from_then_on(tmp_path: Path) -> None:
    """The dead one is asked once, not before every command."""
    asked = tmp_path / "asked"
    dead = program(tmp_path, "ssh", f"echo x >> {asked}; exit 255")
    commands = runner((dead, "controller-0"), HERE)

    for _ in range(3):
        commands.run(("true",), timeout_s=10)

    assert asked.read_text() == "x\n"


def test_a_prefix_that_fails_later_is_left_again(tmp_path: Path) -> None:
    """The controller that answered so far may be the next to die."""
    dying = program(tmp_path, "ssh", f'test -e {tmp_path}/dead && exit 255; shift; exec sh -c "$*"')
    commands = runner((dying, "controller-0"), HERE)
    first = commands.run(("echo", "alive"), timeout_s=10)

    (tmp_path / "dead").touch()
    second = commands.run(("echo", "elsewhere"), timeout_s=10)

    assert (first.stdout, second.stdout) == ("alive\n", "elsewhere\n")


def test_the_exit_code_of_the_command_is_no_failure_of_the_prefix() -> None:
    """What 102 (not connected) means is for the caller to say."""
    commands = runner(HERE, NO_SUCH)

    assert commands.run(("sh", "-c", "exit 102"), timeout_s=10).exit_code == 102


def misplaced(folder: Path, *, then: str) -> CommandRunner:
    """This machine has the tools and no cluster (102); the ssh to the next one ends as told."""
    ssh = program(folder, "ssh", then)
    environment = {"PATH": os.environ["PATH"]}
    return CommandRunner((HERE, (ssh, "ctl")), environment=environment, wrong_place=(102,))


def test_a_command_in_the_wrong_place_is_tried_in_the_next(tmp_path: Path) -> None:
    """Reads and orders alike: exit 102 says that nothing was done."""
    argv = ("sh", "-c", "exit 102")

    assert misplaced(tmp_path, then="exit 0").run(argv, timeout_s=10).exit_code == 0
    assert misplaced(tmp_path, then="exit 0").run_once(argv, timeout_s=10).exit_code == 0


def test_an_order_in_the_wrong_place_leaves_less_time_for_the_next(tmp_path: Path) -> None:
    """stonith_admin takes 18 s to find no cluster; the limit holds for all prefixes together."""
    argv = ("sh", "-c", "sleep 0.3; exit 102")

    with pytest.raises(TimeLimitPassed, match="no answer within 0 s"):
        misplaced(tmp_path, then="sleep 60").run_once(argv, timeout_s=0.6)


@pytest.mark.parametrize("then", ["exit 102", "exit 127"], ids=["nor there", "no tools there"])
def test_the_wrong_place_is_an_answer_when_there_is_no_better(tmp_path: Path, then: str) -> None:
    """The caller then knows that the tools ran and found no cluster."""
    argv = ("sh", "-c", "exit 102")

    assert misplaced(tmp_path, then=then).run(argv, timeout_s=10).exit_code == 102
    assert misplaced(tmp_path, then=then).run_once(argv, timeout_s=10).exit_code == 102


def test_without_any_usable_prefix_the_error_says_why_for_each(tmp_path: Path) -> None:
    """The operator sees each machine that was tried."""
    dead = program(tmp_path, "ssh", "echo 'Host key verification failed.' >&2; exit 255")

    with pytest.raises(Unreachable) as error:
        runner(NO_SUCH, (dead, "controller-0")).run(("true",), timeout_s=10)

    assert error.value.why == (
        "cannot start no-such-program-of-hacli: No such file or directory; "
        f"{dead} controller-0: exit 255, Host key verification failed."
    )


def test_an_order_is_never_given_through_a_second_prefix(tmp_path: Path) -> None:
    """An ssh that breaks (255) may have delivered it: the caller is told, nobody else is asked."""
    broken = program(tmp_path, "ssh", "exit 255")
    ordered = tmp_path / "ordered"
    commands = runner((broken, "controller-0"), HERE)

    completed = commands.run_once(("touch", str(ordered)), timeout_s=10)

    assert completed.exit_code == 255
    assert not ordered.exists()


def test_an_order_that_did_not_end_in_time_is_not_repeated(tmp_path: Path) -> None:
    """Killing the client takes nothing back, so a second prefix could order it twice."""
    hanging = program(tmp_path, "ssh", "sleep 60")
    ordered = tmp_path / "ordered"

    with pytest.raises(TimeLimitPassed):
        runner((hanging, "controller-0"), HERE).run_once(("touch", str(ordered)), timeout_s=0.3)

    assert not ordered.exists()


def test_an_order_passes_over_a_prefix_that_cannot_have_delivered_it(tmp_path: Path) -> None:
    """No such program, here or at the other end: nothing was started."""
    bare = program(tmp_path, "ssh", "exit 127")

    completed = runner(NO_SUCH, (bare, "controller-0"), HERE).run_once(
        ("echo", "ordered"), timeout_s=10
    )

    assert completed.stdout == "ordered\n"


def test_an_order_that_no_prefix_could_start_was_not_given() -> None:
    """The caller may say so, and may go on to another way of fencing."""
    with pytest.raises(NotStarted):
        runner(NO_SUCH).run_once(("true",), timeout_s=10)


def test_every_call_gives_its_descriptors_back() -> None:
    """Also those that fail: `watch` runs for months."""
    commands = runner()
    commands.run(("true",), timeout_s=10)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        commands.run(("true",), timeout_s=10, stdin=b"x")
        with pytest.raises(Unreachable):
            commands.run(("sleep", "60"), timeout_s=0.05)
        with pytest.raises(Unreachable):
            commands.run(NO_SUCH, timeout_s=10)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
