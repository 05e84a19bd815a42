"""The BMCs of the lab: IPMI 2.0 over UDP on loopback, one port per host, one thread for all."""

import heapq
import itertools
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hacli.lab import rmcp
from hacli.lab.rmcp import PayloadType

# Status codes of the handshake (table 13-15).
_INVALID_SESSION, _UNAUTHORIZED_NAME = 0x02, 0x0D
_INVALID_PROOF, _NO_SUITE_MATCH = 0x0F, 0x11
# Completion codes (table 5-2); 0x87 is Close Session's own.
_OK, _UNKNOWN_SESSION, _INVALID_COMMAND = 0x00, 0x87, 0xC1
_INVALID_DATA, _PRIVILEGE, _NOT_IN_THIS_STATE = 0xCC, 0xD4, 0xD5
# Commands as (network function, command), tables G-1 and appendix H.
_CHASSIS_STATUS, _CHASSIS_CONTROL = (0x00, 0x01), (0x00, 0x02)
_DEVICE_ID, _AUTHENTICATION, _CIPHER_SUITES = (0x06, 0x01), (0x06, 0x38), (0x06, 0x54)
_SET_PRIVILEGE, _CLOSE_SESSION = (0x06, 0x3B), (0x06, 0x3C)
# An IPMI 2.0 BMC with a chassis and of no manufacturer, so that no client tries a vendor's ways.
_WHO_I_AM = bytes((0x20, 1, 1, 0, 0x02, 0x80, 0, 0, 0, 0, 0))
# Channel 1, IPMI 2.0 sessions only, users have names.
_HOW_TO_LOG_IN = bytes((1, 0x80, 0x04, 0x02, 0, 0, 0, 0))
_USER, _OPERATOR, _ADMINISTRATOR = 2, 3, 4
_IDLE_S = 60.0  # a BMC forgets a session that says nothing (section 6.12.15)
# No real BMC answers faster. It is not only manners: pyghmi 1.6.19 can miss the wake-up by an
# answer that comes at once, and then sleeps up to a second (measured: 100 reads took 1.3 s, with
# this 0.3 s).
_THINKING_S = 0.003


class Chassis(Protocol):
    """What a BMC stands in front of, and how ill the BMC itself is."""

    @property
    def silent(self) -> bool:
        """Every packet is dropped."""
        ...

    @property
    def delay_s(self) -> float:
        """Seconds for which every answer is held back."""
        ...

    @property
    def denied(self) -> bool:
        """The right password is refused."""
        ...

    def power_state(self) -> bool:
        """What the BMC claims: True for on."""
        ...

    def order_off(self) -> None:
        """Cut the power now."""
        ...

    def order_on(self) -> None:
        """Switch the power on."""
        ...

    def order_reset(self) -> None:
        """Hard reset, or power cycle."""
        ...


@dataclass(kw_only=True)
class _Session:
    """A session from its opening to its close."""

    suite: rmcp.Suite
    console_session: int
    heard_at: float
    handshake: rmcp.Handshake | None = None
    seal: rmcp.Seal | None = None
    privilege: int = _USER  # until Set Session Privilege Level raises it (section 6.8)
    sent: int = 0


@dataclass(kw_only=True)
class _Bmc:
    """The protocol of one BMC: a datagram in, a datagram or nothing out."""

    chassis: Chassis
    user: bytes
    password: bytes = field(repr=False)
    suites: tuple[rmcp.Suite, ...]
    guid: bytes = field(default_factory=lambda: os.urandom(16))
    sessions: dict[int, _Session] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def answer(self, datagram: bytes, *, now: float) -> bytes | None:
        """What goes back to the console; None for what a BMC drops."""
        try:
            packet = rmcp.parse_packet(datagram)
            if packet.session:
                return self._answer_in_session(packet, now)
            if packet.payload_type == PayloadType.IPMI:
                return self._answer_stranger(packet)
            return self._answer_handshake(packet, now)
        except rmcp.MalformedPacketError:
            return None

    def _answer_handshake(self, packet: rmcp.Packet, now: float) -> bytes | None:
        payload: bytes | None
        if packet.payload_type == PayloadType.OPEN_REQUEST:
            kind, payload = PayloadType.OPEN_RESPONSE, self._open(packet.payload, now)
        elif packet.payload_type == PayloadType.RAKP_1:
            kind, payload = PayloadType.RAKP_2, self._greet(packet.payload)
        elif packet.payload_type == PayloadType.RAKP_3:
            kind, payload = PayloadType.RAKP_4, self._admit(packet.payload)
        else:
            return None
        return None if payload is None else rmcp.build_packet(kind, payload)

    def _open(self, payload: bytes, now: float) -> bytes:
        proposal = rmcp.parse_proposal(payload)
        suite = next((s for s in self.suites if s.algorithms == proposal.algorithms), None)
        if suite is None:
            return rmcp.build_refusal(proposal.tag, _NO_SUITE_MATCH, proposal.console_session)
        for number, old in tuple(self.sessions.items()):
            if now - old.heard_at > _IDLE_S:
                del self.sessions[number]
        number = next(self.numbers)
        self.sessions[number] = _Session(
            suite=suite, console_session=proposal.console_session, heard_at=now
        )
        return rmcp.build_open_response(proposal, session=number, privilege=_ADMINISTRATOR)

    def _greet(self, payload: bytes) -> bytes:
        hello = rmcp.parse_rakp1(payload)
        session = self.sessions.get(hello.session)
        if session is None:
            return rmcp.build_refusal(hello.tag, _INVALID_SESSION, 0)
        if hello.user != self.user:
            return rmcp.build_refusal(hello.tag, _UNAUTHORIZED_NAME, session.console_session)
        session.handshake = rmcp.Handshake(
            suite=session.suite,
            session=hello.session,
            console_session=session.console_session,
            hello=hello,
            random=os.urandom(16),
            guid=self.guid,
            password=os.urandom(16) if self.chassis.denied else self.password,
        )
        return session.handshake.rakp2()

    def _admit(self, payload: bytes) -> bytes | None:
        claim = rmcp.parse_rakp3(payload)
        session = self.sessions.get(claim.session)
        if session is None or session.handshake is None:
            return rmcp.build_refusal(claim.tag, _INVALID_SESSION, 0)
        if claim.status:  # the console refused our RAKP 2: it waits for nothing
            del self.sessions[claim.session]
            return None
        if claim.proof != session.handshake.expected_proof():
            del self.sessions[claim.session]
            return rmcp.build_refusal(claim.tag, _INVALID_PROOF, session.console_session)
        session.seal = session.handshake.seal()
        return session.handshake.rakp4(claim.tag)

    def _answer_stranger(self, packet: rmcp.Packet) -> bytes | None:
        """The two questions that a BMC answers to anybody."""
        request = rmcp.parse_message(packet.payload)
        if (request.netfn, request.command) == _AUTHENTICATION:
            code, data = _OK, _HOW_TO_LOG_IN
        elif (request.netfn, request.command) == _CIPHER_SUITES:
            code, data = self._cipher_suites(request.data)
        else:
            code, data = _PRIVILEGE, b""
        return rmcp.build_packet(
            PayloadType.IPMI,
            rmcp.build_answer(request, code, data),
            format_2_0=packet.format_2_0,
        )

    def _cipher_suites(self, data: bytes) -> tuple[int, bytes]:
        index = data[2] & 0x3F if len(data) == 3 else 0  # noqa: PLR2004  # channel, type, index
        records = b"".join(suite.record for suite in self.suites)
        return _OK, b"\x01" + records[16 * index : 16 * index + 16]

    def _answer_in_session(self, packet: rmcp.Packet, now: float) -> bytes | None:
        session = self.sessions.get(packet.session)
        if session is None or session.seal is None or packet.payload_type != PayloadType.IPMI:
            return None
        request = rmcp.parse_message(session.seal.open(packet))
        session.heard_at = now
        code, data = self._execute(request, session)
        session.sent += 1
        answer = rmcp.build_answer(request, code, data)
        return session.seal.close(answer, sequence=session.sent)

    def _execute(self, request: rmcp.Message, session: _Session) -> tuple[int, bytes]:
        actions: dict[tuple[int, int], Callable[[], tuple[int, bytes]]] = {
            _DEVICE_ID: lambda: (_OK, _WHO_I_AM),
            _AUTHENTICATION: lambda: (_OK, _HOW_TO_LOG_IN),
            _SET_PRIVILEGE: lambda: self._set_privilege(request.data, session),
            _CLOSE_SESSION: lambda: self._close(request.data),
            _CIPHER_SUITES: lambda: self._cipher_suites(request.data),
            _CHASSIS_STATUS: lambda: (_OK, bytes((self.chassis.power_state(), 0, 0))),
            _CHASSIS_CONTROL: lambda: (self._control(request.data, session), b""),
        }
        action = actions.get((request.netfn, request.command))
        return action() if action else (_INVALID_COMMAND, b"")

    def _set_privilege(self, data: bytes, session: _Session) -> tuple[int, bytes]:
        if len(data) != 1 or data[0] > _ADMINISTRATOR:
            return _INVALID_DATA, b""
        session.privilege = data[0] or session.privilege
        return _OK, bytes((session.privilege,))

    def _close(self, data: bytes) -> tuple[int, bytes]:
        number = struct.unpack("<I", data)[0] if len(data) == 4 else 0  # noqa: PLR2004  # one id
        return (_OK if self.sessions.pop(number, None) else _UNKNOWN_SESSION), b""

    def _control(self, data: bytes, session: _Session) -> int:
        order = self._order(data)
        if session.privilege < _OPERATOR:
            return _PRIVILEGE
        if order is None:
            return _INVALID_DATA
        if order == self.chassis.order_reset and not self.chassis.power_state():
            return _NOT_IN_THIS_STATE
        order()
        return _OK

    def _order(self, data: bytes) -> Callable[[], None] | None:
        orders = {
            b"\x00": self.chassis.order_off,
            b"\x01": self.chassis.order_on,
            b"\x02": self.chassis.order_reset,
            b"\x03": self.chassis.order_reset,
        }
        return orders.get(data)


class IpmiDoor:
    """One BMC per host on UDP ports of 127.0.0.1.

    Args:
        chassis: What each host's BMC stands in front of.
        user: The one user, an administrator.
        password: Its password.
        lock: Held around every call of a chassis.
        speed: Delays are divided by it.
        suites: Numbers of the cipher suites on offer, of 3 and 17.
    """

    def __init__(
        self,
        chassis: Mapping[str, Chassis],
        *,
        user: str,
        password: str,
        lock: threading.Lock,
        speed: float = 1.0,
        suites: tuple[int, ...] = (3, 17),
    ) -> None:
        self._bmcs = {
            host: _Bmc(
                chassis=one,
                user=user.encode(),
                password=password.encode(),
                suites=tuple(rmcp.SUITES[number] for number in suites),
            )
            for host, one in chassis.items()
        }
        self._lock = lock
        self._speed = speed
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        self._late: list[tuple[float, int, _Reply]] = []
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._serve, name="lab-ipmi", daemon=True)

    def start(self) -> dict[str, int]:
        """Bind a free port per host and begin to answer; return the ports."""
        ports = {}
        self._selector.register(self._wakened, selectors.EVENT_READ, None)
        for host, bmc in self._bmcs.items():
            port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            port.settimeout(0)
            port.bind(("127.0.0.1", 0))
            self._selector.register(port, selectors.EVENT_READ, bmc)
            ports[host] = port.getsockname()[1]
        self._thread.start()
        return ports

    def stop(self) -> None:
        """Answer no more, and give the ports back."""
        self._waker.send(b"x")
        self._thread.join()
        for key in tuple(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._waker.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            wait = self._late[0][0] - time.monotonic() if self._late else None
            for key, _ in self._selector.select(wait if wait is None else max(wait, 0.0)):
                if key.data is None:
                    return
                if isinstance(key.fileobj, socket.socket):
                    self._hear(key.fileobj, key.data)
            while self._late and self._late[0][0] <= time.monotonic():
                heapq.heappop(self._late)[2].send()

    def _hear(self, port: socket.socket, bmc: _Bmc) -> None:
        datagram, console = port.recvfrom(2048)
        now = time.monotonic()
        with self._lock:
            answer = None if bmc.chassis.silent else bmc.answer(datagram, now=now)
            delay_s = max(bmc.chassis.delay_s / self._speed, _THINKING_S)
        if answer is not None:
            reply = _Reply(port, console, answer)
            heapq.heappush(self._late, (now + delay_s, next(self._order), reply))


@dataclass(frozen=True)
class _Reply:
    """An answer and its way back."""

    port: socket.socket
    console: tuple[str, int]
    datagram: bytes

    def send(self) -> None:
        """Send it; a console that has gone away is no concern of a BMC."""
        try:
            self.port.sendto(self.datagram, self.console)
        except OSError:
            return
