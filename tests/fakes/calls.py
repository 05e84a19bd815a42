"""What the fakes were asked, by whom and when."""

from dataclasses import dataclass, field, replace

from tests.fakes.scene import Observer, Scene


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request or order, at the moment at which it took effect."""

    at: float
    who: str  # name of the process
    port: str  # nova | pacemaker | bmc
    what: str  # "POST servers/…/action", "fence_off", "power_off"
    host: str | None = None  # the machine that it concerns
    server: str | None = None
    body: dict[str, object] | None = None
    evidence_age_s: float | None = None
    said: str | None = None  # what a BMC that was read answered
    scene: Scene | None = None  # of those that change something, where somebody observes


def is_write(call: Call) -> bool:
    """Whether it changes something; claims do not count."""
    return not call.what.startswith(("GET ", "read_")) and not call.what.endswith("_claim")


@dataclass
class CallLog:
    """All calls of all processes, in their order."""

    calls: list[Call] = field(default_factory=list)
    observer: Observer | None = None

    def add(self, call: Call) -> None:
        """One more."""
        if self.observer is not None and is_write(call):
            call = replace(call, scene=self.observer.scene(call.host))
        self.calls.append(call)

    def writes(self) -> tuple[Call, ...]:
        """Those that change something, but for the claims: see ``claims``."""
        return tuple(call for call in self.calls if is_write(call))

    def claims(self) -> tuple[str, ...]:
        """Who created, took over or deleted a claim, in order."""
        verbs = ("create_claim", "replace_claim", "delete_claim")
        return tuple(f"{call.who} {call.what}" for call in self.calls if call.what in verbs)

    def evacuations(self, server: str | None = None) -> tuple[Call, ...]:
        """Requests to evacuate that reached Nova (of one server)."""
        return tuple(
            call
            for call in self.calls
            if call.body is not None and "evacuate" in call.body and server in (None, call.server)
        )
