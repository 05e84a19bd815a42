"""``python -m tests.system.evacuation_bench``: hacli's evacuation phase beside a bare script.

Both evacuate the same number of servers from a host that was fenced in the same way, in turn, on
one running stack, so that both meet the same machine. hacli's time runs from its first request to
the last server *verified*, the script's to the last migration that Nova calls done.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.system.cluster_facts import ClusterFacts
from tests.system.fleet import Fleet
from tests.system.hacli_runs import Ended, HacliAt
from tests.system.stack import guests, hypervisors, network
from tests.system.stack.api import CloudApi
from tests.system.stack.operator_files import CLOUD_NAME
from tests.system.stack.plan import Plan
from tests.system.stack.session import stack_of

SCRIPT = Path(__file__).with_name("bare_evacuate.py")
HACLI = "hacli"
THREADS = (1, 4, 16)
GOAL = 1.15
EVACUATED_WITHIN_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is evacuated: so many servers, on hypervisors that need so long for each."""

    servers: int
    spawn_s: float


class WrongEndError(Exception):
    """A contender failed, or a guest does not run once: its time means nothing."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One stack, and the contenders on it."""

    fleet: Fleet
    hacli: HacliAt
    threads: tuple[int, ...]

    def measure(self, case: Case, *, rounds: int) -> Mapping[str, tuple[float, ...]]:
        """Seconds of each contender, all of them once in each round."""
        took: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for contender in (HACLI, *(f"script, {threads}" for threads in self.threads)):
                seconds = self._evacuate(contender, case)
                took[contender].append(seconds)
                sys.stderr.write(f"{case} {contender}: {seconds:.1f} s\n")
        return {contender: tuple(times) for contender, times in took.items()}

    def _evacuate(self, contender: str, case: Case) -> float:
        fleet, plan = self.fleet, self.fleet.plan
        host = fleet.take()
        servers = fleet.api.boot_servers(
            plan.nova_name(host), images=case.servers, ports=False, within_s=EVACUATED_WITHIN_S
        )
        fleet.wait()
        self._check(self.hacli("fence", host, "--allow-healthy", "--yes"))
        hypervisors.tell(plan, spawn_s=case.spawn_s)
        try:
            seconds = self._by_hacli(host) if contender == HACLI else self._by(contender, host)
        finally:
            hypervisors.tell(plan)
        truth = guests.running(plan)
        if any(len(truth.get(s, ())) != 1 or truth[s] == (host,) for s in servers):
            raise WrongEndError(f"{contender}: not every guest runs once, elsewhere")
        fleet.api.delete_servers(servers, within_s=EVACUATED_WITHIN_S)
        fleet.mend(host)
        return seconds

    def _by_hacli(self, host: str) -> float:
        words = ("recover", host, "--yes", "--local-disks", "image", "-o", "jsonl")
        ended = self.hacli(*words)
        self._check(ended)
        return ended.phases["evacuate"] + ended.phases["verify"]

    def _by(self, contender: str, host: str) -> float:
        plan = self.fleet.plan
        self.fleet.api.set_service(plan.nova_name(host), forced_down=True, status="disabled")
        threads = contender.rpartition(" ")[2]
        node = self.fleet.facts.cluster.controllers[0]
        words = (sys.executable, str(SCRIPT), CLOUD_NAME, plan.nova_name(host), threads)
        told = json.loads(node.run(*words, timeout_s=EVACUATED_WITHIN_S).stdout)
        if told["ends"] != {"done": told["servers"]}:
            raise WrongEndError(f"{contender}: {told}")
        sys.stderr.write(f"{contender}: asked in {told['asked_s']:.1f} s\n")
        return float(told["took_s"])

    def _check(self, ended: Ended) -> None:
        if ended.code != 0:
            raise WrongEndError(str(ended))


def table(case: Case, took: Mapping[str, tuple[float, ...]]) -> Iterator[str]:
    """Lines of Markdown: every contender's times, and hacli's ratio to the best script."""
    yield f"### {case.servers} servers, spawn {case.spawn_s:g} s"
    yield ""
    yield "| contender | seconds, median (all) |"
    yield "|---|---:|"
    for contender, times in took.items():
        yield f"| {contender} | {median(times):.1f} ({', '.join(f'{t:.1f}' for t in times)}) |"
    best = min((name for name in took if name != HACLI), key=lambda name: median(took[name]))
    ratio = median(a / b for a, b in zip(took[HACLI], took[best], strict=True))
    verdict = "reached" if ratio <= GOAL else "**missed**"
    yield f"| hacli / best ({best}), median of rounds | {ratio:.2f} (<= {GOAL}: {verdict}) |"
    yield ""


def main() -> None:
    """Measure what is asked for, on the running stack or on one of its own."""
    parser = argparse.ArgumentParser(prog="evacuation_bench", description=__doc__)
    parser.add_argument("--stack", type=Path, default=Path(".system"), metavar="FOLDER")
    parser.add_argument("--servers", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--spawn", type=float, nargs="+", default=[0.0, 5.0], metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS, help="of the scripts")
    options = parser.parse_args()
    with (
        stack_of(Plan(folder=options.stack.resolve())) as stack,
        TemporaryDirectory() as folder,
        network.joined(stack.plan.namespace(stack.plan.controller_names[0])),
    ):
        fleet = Fleet(stack.plan, ClusterFacts(stack.cluster), CloudApi(stack.plan))
        hacli = HacliAt(stack.cluster.controllers[0].command, Path(folder))
        bench = Bench(fleet=fleet, hacli=hacli, threads=tuple(options.threads))
        for servers in options.servers:
            for spawn_s in options.spawn:
                case = Case(servers=servers, spawn_s=spawn_s)
                for line in table(case, bench.measure(case, rounds=options.rounds)):
                    sys.stdout.write(f"{line}\n")
        fleet.wait()
        fleet.close()


if __name__ == "__main__":
    main()
