"""The wire format of IPMI 2.0 over UDP (RMCP+), as a BMC reads and writes it: no sockets, no state.

Layouts and numbers are those of the IPMI v2.0 specification, chapter 13.
"""

import hmac
import os
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

_RMCP = b"\x06\x00\xff\x07"
_FORMAT_2_0 = 6
_ENCRYPTED, _SIGNED, _TYPE = 0x80, 0x40, 0x3F
_BLOCK = 16


class MalformedPacketError(ValueError):
    """Bytes that no console of ours would send; a BMC drops them in silence."""


class PayloadType(IntEnum):
    """What a packet carries."""

    IPMI = 0x00
    OPEN_REQUEST = 0x10
    OPEN_RESPONSE = 0x11
    RAKP_1 = 0x12
    RAKP_2 = 0x13
    RAKP_3 = 0x14
    RAKP_4 = 0x15


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A cipher suite; both known ones encrypt with AES-CBC-128."""

    number: int
    digest: str
    authentication: int
    integrity: int
    code_length: int
    confidentiality: int = 1

    @property
    def algorithms(self) -> tuple[int, int, int]:
        """The three algorithm numbers in the order in which packets name them."""
        return self.authentication, self.integrity, self.confidentiality

    @property
    def record(self) -> bytes:
        """The suite as Get Channel Cipher Suites lists it."""
        return bytes(
            (
                0xC0,
                self.number,
                self.authentication,
                0x40 | self.integrity,
                0x80 | self.confidentiality,
            )
        )

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        """The whole keyed digest over ``parts``."""
        return hmac.digest(key, b"".join(parts), self.digest)


SUITES = {
    3: Suite(number=3, digest="sha1", authentication=1, integrity=1, code_length=12),
    17: Suite(number=17, digest="sha256", authentication=3, integrity=4, code_length=16),
}


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One datagram taken apart; ``payload`` is still sealed when ``session`` is not 0."""

    format_2_0: bool
    payload_type: int
    sealed: bool
    session: int
    payload: bytes
    datagram: bytes = field(repr=False)


def parse_packet(datagram: bytes) -> Packet:
    """Take the headers off.

    Raises:
        MalformedPacketError: Not RMCP, not IPMI, or shorter than it says.
    """
    if len(datagram) < 14 or datagram[:4] != _RMCP:  # noqa: PLR2004  # the shortest 1.5 header
        raise MalformedPacketError("not an IPMI packet")
    if datagram[4] == _FORMAT_2_0:
        if len(datagram) < 16:  # noqa: PLR2004  # the 2.0 header
            raise MalformedPacketError("header cut short")
        kind, session, _, length = struct.unpack_from("<BIIH", datagram, 5)
        start = 16
    elif datagram[4] == 0:
        _, session, length = struct.unpack_from("<IIB", datagram, 5)
        kind, start = PayloadType.IPMI, 14
    else:
        raise MalformedPacketError("authentication of IPMI 1.5 is not offered")
    payload = datagram[start : start + length]
    if len(payload) < length:
        raise MalformedPacketError("payload cut short")
    return Packet(
        format_2_0=datagram[4] == _FORMAT_2_0,
        payload_type=kind & _TYPE,
        sealed=kind & (_ENCRYPTED | _SIGNED) == _ENCRYPTED | _SIGNED,
        session=session,
        payload=payload,
        datagram=datagram,
    )


def build_packet(payload_type: PayloadType, payload: bytes, *, format_2_0: bool = True) -> bytes:
    """A packet outside of any session."""
    if format_2_0:
        head = struct.pack("<BBIIH", _FORMAT_2_0, payload_type, 0, 0, len(payload))
    else:
        head = struct.pack("<BIIB", 0, 0, 0, len(payload))
    return _RMCP + head + payload


@dataclass(frozen=True, kw_only=True)
class Message:
    """One IPMI request."""

    netfn: int
    command: int
    data: bytes
    sequence: int
    requester: int
    responder: int


def parse_message(payload: bytes) -> Message:
    """Read a request; the checksums are left to UDP, which has its own.

    Raises:
        MalformedPacketError: Too short.
    """
    if len(payload) < 7:  # noqa: PLR2004  # two addresses, two checksums, netfn, sequence, command
        raise MalformedPacketError("message cut short")
    return Message(
        netfn=payload[1] >> 2,
        command=payload[5],
        data=payload[6:-1],
        sequence=payload[4],
        requester=payload[3],
        responder=payload[0],
    )


def build_answer(request: Message, code: int, data: bytes = b"") -> bytes:
    """The response message to ``request`` with a completion code."""
    head = bytes((request.requester, (request.netfn | 1) << 2))
    body = bytes((request.responder, request.sequence, request.command, code)) + data
    return head + _checksum(head) + body + _checksum(body)


def _checksum(data: bytes) -> bytes:
    return bytes((-sum(data) & 0xFF,))


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An Open Session Request."""

    tag: int
    console_session: int
    algorithms: tuple[int, int, int]


def parse_proposal(payload: bytes) -> Proposal:
    """Read an Open Session Request.

    Raises:
        MalformedPacketError: Too short.
    """
    if len(payload) < 32:  # noqa: PLR2004  # tag .. session id, then three algorithms of 8 bytes
        raise MalformedPacketError("open session request cut short")
    return Proposal(
        tag=payload[0],
        console_session=struct.unpack_from("<I", payload, 4)[0],
        algorithms=(payload[12], payload[20], payload[28]),
    )


def build_open_response(proposal: Proposal, *, session: int, privilege: int) -> bytes:
    """Accept a proposal as it is."""
    head = struct.pack("<BBBBII", proposal.tag, 0, privilege, 0, proposal.console_session, session)
    return head + b"".join(
        bytes((kind, 0, 0, 8, algorithm, 0, 0, 0))
        for kind, algorithm in enumerate(proposal.algorithms)
    )


def build_refusal(tag: int, status: int, console_session: int) -> bytes:
    """Any refusing answer of the handshake: tag, status, session id of the console."""
    return struct.pack("<BBHI", tag, status, 0, console_session)


@dataclass(frozen=True, kw_only=True)
class Rakp1:
    """What the console says of itself."""

    tag: int
    session: int
    random: bytes
    role: int
    user: bytes


def parse_rakp1(payload: bytes) -> Rakp1:
    """Read RAKP message 1.

    Raises:
        MalformedPacketError: Too short for the user name it announces.
    """
    if len(payload) < 28 or len(payload) < 28 + payload[27]:  # noqa: PLR2004  # the fixed part
        raise MalformedPacketError("RAKP 1 cut short")
    return Rakp1(
        tag=payload[0],
        session=struct.unpack_from("<I", payload, 4)[0],
        random=payload[8:24],
        role=payload[24],
        user=payload[28 : 28 + payload[27]],
    )


@dataclass(frozen=True, kw_only=True)
class Rakp3:
    """The console's proof that it knows the password."""

    tag: int
    status: int
    session: int
    proof: bytes = field(repr=False)


def parse_rakp3(payload: bytes) -> Rakp3:
    """Read RAKP message 3.

    Raises:
        MalformedPacketError: Too short.
    """
    if len(payload) < 8:  # noqa: PLR2004  # tag, status, reserved, session id
        raise MalformedPacketError("RAKP 3 cut short")
    return Rakp3(
        tag=payload[0],
        status=payload[1],
        session=struct.unpack_from("<I", payload, 4)[0],
        proof=payload[8:],
    )


@dataclass(frozen=True, kw_only=True)
class Handshake:
    """What both sides know after RAKP 1, and the codes that follow from it."""

    suite: Suite
    session: int
    console_session: int
    hello: Rakp1
    random: bytes
    guid: bytes
    password: bytes = field(repr=False)

    @property
    def _identity(self) -> bytes:
        return bytes((self.hello.role, len(self.hello.user))) + self.hello.user

    def rakp2(self) -> bytes:
        """RAKP message 2: the BMC's proof that it knows the password."""
        ids = struct.pack("<II", self.console_session, self.session)
        known = self.hello.random + self.random + self.guid + self._identity
        head = struct.pack("<BBHI", self.hello.tag, 0, 0, self.console_session)
        proof = self.suite.mac(self.password, ids, known)
        return head + self.random + self.guid + proof

    def expected_proof(self) -> bytes:
        """What RAKP message 3 has to carry."""
        console = struct.pack("<I", self.console_session)
        return self.suite.mac(self.password, self.random, console, self._identity)

    def rakp4(self, tag: int) -> bytes:
        """RAKP message 4: the session is open."""
        session = struct.pack("<I", self.session)
        code = self.suite.mac(self._key(), self.hello.random, session, self.guid)
        head = struct.pack("<BBHI", tag, 0, 0, self.console_session)
        return head + code[: self.suite.code_length]

    def seal(self) -> "Seal":
        """The keys of the open session."""
        key = self._key()
        return Seal(
            suite=self.suite,
            console_session=self.console_session,
            integrity_key=self.suite.mac(key, b"\x01" * 20),
            aes_key=self.suite.mac(key, b"\x02" * 20)[:_BLOCK],
        )

    def _key(self) -> bytes:
        return self.suite.mac(self.password, self.hello.random, self.random, self._identity)


@dataclass(frozen=True, kw_only=True)
class Seal:
    """Signs and encrypts the packets of one session."""

    suite: Suite
    console_session: int
    integrity_key: bytes = field(repr=False)
    aes_key: bytes = field(repr=False)

    def close(self, payload: bytes, *, sequence: int) -> bytes:
        """An IPMI message as a packet of the session."""
        padding = -(len(payload) + 1) % _BLOCK
        plain = payload + bytes(range(1, padding + 1)) + bytes((padding,))
        vector = os.urandom(_BLOCK)
        encryptor = Cipher(AES(self.aes_key), CBC(vector)).encryptor()
        secret = vector + encryptor.update(plain) + encryptor.finalize()
        kind = _ENCRYPTED | _SIGNED | PayloadType.IPMI
        head = struct.pack("<BBIIH", _FORMAT_2_0, kind, self.console_session, sequence, len(secret))
        fill = -(len(head) + len(secret) + 2) % 4
        signed = head + secret + b"\xff" * fill + bytes((fill, 7))
        return _RMCP + signed + self._code(signed)

    def open(self, packet: Packet) -> bytes:
        """The IPMI message in a packet of the session.

        Raises:
            MalformedPacketError: Not sealed, signed with another key, or badly padded.
        """
        end = len(packet.datagram) - self.suite.code_length
        signed, code = packet.datagram[4:end], packet.datagram[end:]
        if not packet.sealed or not hmac.compare_digest(code, self._code(signed)):
            raise MalformedPacketError("not signed with the session's key")
        vector, secret = packet.payload[:_BLOCK], packet.payload[_BLOCK:]
        if not secret or len(secret) % _BLOCK:
            raise MalformedPacketError("not whole blocks")
        decryptor = Cipher(AES(self.aes_key), CBC(vector)).decryptor()
        plain = decryptor.update(secret) + decryptor.finalize()
        return plain[: -(plain[-1] + 1)]

    def _code(self, signed: bytes) -> bytes:
        return self.suite.mac(self.integrity_key, signed)[: self.suite.code_length]
