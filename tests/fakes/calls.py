"""What the fakes were asked, by whom and when."""

from dataclasses import dataclass, field


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


@dataclass
class CallLog:
    """All calls of all processes, in their order."""

    calls: list[Call] = field(default_factory=list)

    def add(self, call: Call) -> None:
        """One more."""
        self.calls.append(call)

    def writes(self) -> tuple[Call, ...]:
        """Those that change something, but for the claims: see ``claims``."""
        changes = (call for call in self.calls if not call.what.startswith(("GET ", "read_")))
        return tuple(call for call in changes if not call.what.endswith("_claim"))

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
