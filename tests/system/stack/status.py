"""The stack in words, for a person."""

from collections import Counter

from tests.system.stack import guests
from tests.system.stack.plan import Plan
from tests.system.stack.stack import Stack


def lines_of_status(stack: Stack) -> tuple[str, ...]:
    """Every node, what Pacemaker complains of, and the guests."""
    plan = stack.plan
    complaints = stack.cluster.complaints()
    return (
        *(_line_of_node(stack, name) for name in ("cloud", *plan.controller_names)),
        *(_line_of_host(stack, host) for host in plan.host_names),
        *(f"cluster: {complaint}" for complaint in complaints or ("healthy",)),
        *lines_of_guests(plan),
    )


def lines_of_guests(plan: Plan) -> tuple[str, ...]:
    """How many run on each host, and every one that runs twice."""
    running = guests.running(plan)
    on = Counter(host for hosts in running.values() for host in hosts)
    twice = guests.running_twice(plan)
    return (
        f"{len(running)} guests, {on.total()} processes: "
        + " ".join(f"{host}={on[host]}" for host in plan.host_names),
        *(f"TWICE {server} on {' and '.join(hosts)}" for server, hosts in twice.items()),
    )


def _line_of_node(stack: Stack, name: str) -> str:
    node = stack.node(name)
    state = "running" if node.running else "dead"
    return f"{name:14} {state:8} {'CUT OFF' if node.is_cut_off else ''}".rstrip()


def _line_of_host(stack: Stack, host: str) -> str:
    bmc = stack.bmc(host)
    mode, seconds = bmc.mode
    power = "ON" if stack.machine(host).powered else "OFF"
    behaviour = f"{mode.value} {seconds:g} s" if seconds else mode.value
    return f"{_line_of_node(stack, host):24} power {power:4} bmc {behaviour}"
