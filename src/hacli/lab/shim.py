"""The client of the lab's Pacemaker: ``python -I -S shim.py SOCKET TOOL WORD…``.

It stands in the command prefix where ``ssh controller`` stands elsewhere, so it must start as fast
as a tool does: it imports two built-in modules and nothing of hacli. A message is a list of byte
strings, each with its length before it, and a count before them all.
"""

import sys
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket  # ``socket`` itself costs 6 ms more

_NOT_CONNECTED = 102
_LENGTH = 4


def packed(parts: list[bytes]) -> bytes:
    """One message: the number of parts, then each with its length."""
    count = len(parts).to_bytes(_LENGTH, "big")
    return count + b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


def unpacked(message: bytes) -> list[bytes]:
    """The parts of one message."""
    parts, at = [], _LENGTH
    for _ in range(int.from_bytes(message[:_LENGTH], "big")):
        size = int.from_bytes(message[at : at + _LENGTH], "big")
        at += _LENGTH
        parts.append(message[at : at + size])
        at += size
    return parts


def main(argv: list[str]) -> int:
    """Run one tool of the lab and relay what it says and how it ends."""
    path, *words = argv
    piped = "-p" in words or "--xml-pipe" in words
    stdin = sys.stdin.buffer.read() if piped else b""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
        connection.sendall(packed([stdin, *(word.encode() for word in words)]))
        connection.shutdown(SHUT_WR)
        chunks = []
        while chunk := connection.recv(1 << 16):
            chunks.append(chunk)
    except OSError as error:
        sys.stderr.write(f"{words[0]}: the lab does not answer: {error.strerror}\n")
        return _NOT_CONNECTED
    finally:
        connection.close()
    if not chunks:
        sys.stderr.write(f"{words[0]}: the lab went away\n")
        return _NOT_CONNECTED
    code, stdout, stderr = unpacked(b"".join(chunks))
    sys.stdout.buffer.write(stdout)
    sys.stderr.buffer.write(stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
