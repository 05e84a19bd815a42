"""One run of an acting command on one host: its journal, its steps, its policy."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from hacli.domain.cluster import ClusterView
from hacli.domain.events import Event, JsonValue, StepDone, StepStarted, Warned
from hacli.domain.evidence import FenceEvidence
from hacli.domain.hosts import MARKER, RECOVERY_MARK, ComputeHost
from hacli.domain.policy import Policy
from hacli.domain.servers import ServiceList
from hacli.errors import HacliError, SourceError
from hacli.ports import Journal, World
from hacli.service.claim import HostClaim


@dataclass
class StepReport:
    """What a step says of itself when it ends well; filled in by the step."""

    status: str = "ok"
    text: str = ""
    data: dict[str, JsonValue] = field(default_factory=dict)

    def end(self, text: str, *, status: str = "ok", **data: JsonValue) -> None:
        """Set the step's last word. ``status``: ok, skipped, late, partial, failed."""
        self.text, self.status, self.data = text, status, data


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the steps of one run share."""

    world: World
    host: ComputeHost
    policy: Policy
    journal: Journal
    claim: HostClaim
    sources_view: ClusterView | None
    services: ServiceList

    @property
    def marker(self) -> str:
        """What this run writes into ``disabled_reason``."""
        return f"{MARKER}{self.journal.run}{RECOVERY_MARK}"

    @property
    def nova_host(self) -> str:
        """The host's name in Nova."""
        assert self.host.service is not None
        return self.host.service.host

    def is_fresh(self, evidence: FenceEvidence) -> bool:
        """Whether a request may still be sent on this evidence (law L3), by this run (law L9)."""
        now = self.world.clock.monotonic()
        return self.claim.is_known(now) and evidence.age_s(now) <= self.policy.evidence_max_age_s

    def record(self, event: Event) -> None:
        """Write one event to the journal; listeners see it after it is on disk."""
        self.journal.record(event)

    def warn(self, code: str, text: str) -> None:
        """Tell the operator something that does not stop the run."""
        self.record(Warned(code=code, text=text))

    @contextmanager
    def step(self, name: str, **data: JsonValue) -> Iterator[StepReport]:
        """Record the step's beginning and end, with its time; a failing one is recorded too."""
        began = self.world.clock.monotonic()
        self.record(StepStarted(step=name, data=data))
        report = StepReport()
        try:
            yield report
        except (HacliError, SourceError) as error:
            report.end(error.why or error.what, status="failed")
            raise
        finally:
            took = self.world.clock.monotonic() - began
            self.record(
                StepDone(
                    step=name,
                    status=report.status,
                    took_s=round(took, 3),
                    text=report.text,
                    data=report.data,
                )
            )

    def skip(self, name: str, text: str) -> None:
        """Record a step that had nothing to do."""
        self.record(StepDone(step=name, status="skipped", took_s=0.0, text=text, data={}))


def wait_until(
    world: World,
    check: Callable[[], bool],
    *,
    every_s: float,
    until: float,
) -> bool:
    """Check until it is true (True) or the time ``until`` has come (False)."""
    while not check():
        left = until - world.clock.awake()
        if left <= 0:
            return False
        world.clock.wait(min(every_s, left))
    return True


def counts(words: Mapping[str, int]) -> str:
    """``25 running, 2 stopped``: what there is any of, in the order given."""
    return ", ".join(f"{number} {word}" for word, number in words.items() if number)
