# SPDX-License-Identifier: Apache-2.0
"""The same raw bytes to nats-server and to a sidecar before it: both must answer alike.

Every case ends with PING, so it is over with the first PONG or when the connection closes. What may
differ is said in same(): a sidecar speaks where the server closes in silence (proto/nats.md).
"""

import socket
import sys

from stack import Stack

MODES = [
    b'CONNECT {"verbose":false,"pedantic":false}\r\n',
    b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n',
    b'CONNECT {"verbose":true,"pedantic":false}\r\n',
    b'CONNECT {"verbose":true}\r\n',
    b"",
]

CASES = [case.encode("latin-1") for case in (
    "PUB foo 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 2\r\nhi\r\n",
    "SUB > 1\r\npub\tfoo\t \t2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo.* 2\r\nhi\r\n",
    "SUB > 1\r\nPUB > 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo..bar 2\r\nhi\r\n",
    "SUB > 1\r\nPUB .foo 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo. 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo rep.* 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo rep..x 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo a b 2\r\nhi\r\n",
    "PUB foo\r\nhi\r\n",
    "PUB\r\n",
    "PUB \r\n",
    "PUB foo -1\r\nhi\r\n",
    "PUB foo +2\r\nhi\r\n",
    "PUB foo 2x\r\nhi\r\n",
    "PUB foo 99999999999999999999\r\nhi\r\n",
    "PUB foo 999999999\r\nhi\r\n",
    "PUB foo 1000000000\r\nhi\r\n",
    "PUB foo 1048577\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 0002\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 0\r\n\r\n",
    "SUB > 1\r\nPUB foo 1\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 3\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 4\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 2\r\nhi\n",
    "SUB > 1\r\nPUB foo 2\r\nhi\r\r\n",
    "SUB > 1\nPUB foo 2\nhi\r\n",
    "SUB > 1\r\r\nPUB foo 2\r\nhi\r\n",
    "SUB > 1\r\nPUB foo 2\rX\r\nhi\r\n",
    "SUB > 1\r\nPUB fo\0o 2\r\nhi\r\n",
    "SUB > 1\r\nPUB fo\xff\xfeo 2\r\nhi\r\n",
    "SUB > 1\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "SUB > 1\r\nHPUB foo 0 2\r\nhi\r\n",
    "SUB > 1\r\nHPUB foo 15 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "PUB foo rep 2\r\nhi\r\nSUB rep 1\r\nPUB foo rep 2\r\nhi\r\n",
    "SUB foo\r\n",
    "SUB\r\n",
    "SUB \r\n",
    "SUB foo q 1 x\r\n",
    "SUB foo q 1\r\nPUB foo 2\r\nhi\r\n",
    "SUB foo..a 1\r\n",
    "SUB >.a 1\r\n",
    "SUB *a.b> 1\r\nPUB *a.b> 1\r\nx\r\n",
    "SUB foo a.sid.*\r\nPUB foo 1\r\nx\r\n",
    "SUB foo q>..* 1\r\nPUB foo 1\r\nx\r\n",
    "SUB foo 1\r\nSUB bar 1\r\nPUB foo 1\r\nx\r\nPUB bar 1\r\ny\r\n",
    "SUB foo 1\r\nUNSUB 1\r\nPUB foo 1\r\nx\r\n",
    "SUB foo 1\r\nUNSUB 1 2\r\nPUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\nPUB foo 1\r\nz\r\n",
    "SUB > 1\r\nUNSUB 1 2\r\nPUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\nPUB foo 1\r\nz\r\n",
    "SUB foo 1\r\nPUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\nUNSUB 1 1\r\nPUB foo 1\r\nz\r\n",
    "SUB $SRV.PING 1\r\nUNSUB 1 1\r\nPUB $SRV.PING 1\r\nx\r\nPUB $SRV.PING 1\r\ny\r\n",
    "SUB > 1\r\nUNSUB 1\r\nSUB foo 1\r\nPUB foo 1\r\nx\r\n",
    "SUB foo 1\r\nUNSUB 1 0\r\nPUB foo 1\r\nx\r\n",
    "SUB > 1\r\nUNSUB 1 -1\r\nPUB foo 1\r\nx\r\n",
    "SUB > 1\r\nUNSUB 1 abc\r\nPUB foo 1\r\nx\r\n",
    "SUB > 1\r\nUNSUB 1 3\r\nUNSUB 1\r\nPUB foo 1\r\nx\r\n",
    "UNSUB 7\r\n",
    "UNSUB\r\n",
    "UNSUB \r\n",
    "UNSUB 1 2 3\r\n",
    "\r\n",
    " PING\r\n",
    "PONG xx\r\n",
    "+OK\r\n",
    "+ok blah\r\n",
    "-ERR 'x'\r\n",
    "-err\r\n",
    "INFO {}\r\n",
    "MSG foo 1 2\r\nhi\r\n",
    "HMSG foo 1 2 3\r\nhi\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00",
    "CONNECT {}\r\n",
    "CONNECT {\r\n",
    "CONNECT\r\n",
    "CONNECT []\r\n",
    "CONNECT null\r\n",
    "CONNECT {} x\r\n",
    "CONNECT{}\r\n",
    'CONNECT {"verbose":1}\r\n',
    'CONNECT {"VERBOSE":true}\r\n',
    'CONNECT {"protocol":5}\r\n',
    "CONNECT \r\n",
    "INFO\r\n",
    "INFO \t \r\n",
    "INFO {\r\n",
    "PUB foo bar   \r\nhi\r\n",
    "PUB foo 2\r\nhi \r\n",
    "PUB foo 2\r\nhi\r \n",
    "PUB foo " + "3" * 64 + "\r\n",
    "PUB foo 2222222222222222\r\n",
    "UNSUBUNSUB 1\r\n",
    "UNSUB_2\r\n",
    "UNSUB_UNSUB_UNSUB 2\r\n",
    "UNSUB_\t2\r\n",
    "UNSUB     \t  \r\n",
    "SUB foo bar baz 22\r\n",
    "M",
    "HM",
    "PING  \r  \n",
    "PONG  \r  \n",
    "PING \t\r\n",
    "SUB > 1\r\nPUB\t \tfoo\t \t \tbar\t \t2\t \t\r\nhi\r\n",
    "SUB > 1\r\nHPUB  \t foo \t bar\t12 \t 14 \t\r\nNATS/1.0\r\n\r\nhi\r\n",
    "SUB > 1\r\nHPUB foo bar 0 2\r\nhi\r\n",
    "SUB > 1\r\nHPUB foo 12 17\r\nname:derek\r\nHELLO\r\n",
    "SUB \t foo \t q\t\t1 \t\r\nPUB foo 1\r\nx\r\n",
    "SUB foo 1\r\nUNSUB \t 1 \t 1\t\r\nPUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\n",
)]

# Each verb left after every letter of it, and with a letter too many.
VERBS = ("PING", "PONG", "PUB", "HPUB", "SUB", "UNSUB", "CONNECT", "INFO", "+OK", "-ERR")
CASES += [f"{verb[:n]}x\r\n".encode() for verb in VERBS for n in range(1, len(verb) + 1)]

SPOKEN = (b"-ERR 'Parser Error'\r\n", b"-ERR 'message headers not supported'\r\n")


def answer(addr, mode, case):
    """What comes back, INFO aside, and whether the connection closed."""
    host, port = addr.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as s:
        got = b""
        while b"\n" not in got:
            got += s.recv(65536)
        assert got.startswith(b"INFO {"), got
        got = got.split(b"\n", 1)[1]
        closed = False
        try:
            s.sendall(mode + case + b"PING\r\n")
            while b"PONG\r\n" not in got:
                piece = s.recv(65536)
                if not piece:
                    closed = True
                    break
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            closed = True
        return got, closed


def same(direct, sidecar):
    if direct == sidecar:
        return True
    if not (direct[1] and sidecar[1]):
        return False
    # Both closed. An error that closes does not wait for the +OK of earlier lines.
    want, got = (text.replace(b"+OK\r\n", b"") for text, _ in (direct, sidecar))
    return got == want or any(got == want + spoken for spoken in SPOKEN)


def main():
    different = 0
    with Stack() as stack:
        bus = stack.nats()
        sidecar = stack.sidecar("a/b", None, bus)
        for mode in MODES:
            for case in CASES:
                direct = answer(bus.addr, mode, case)
                through = answer(sidecar.nats, mode, case)
                if not same(direct, through):
                    different += 1
                    print(mode, case, "\n  direct ", direct, "\n  sidecar", through)
    print(f"{len(MODES) * len(CASES)} answers compared, {different} differ")
    return different != 0


if __name__ == "__main__":
    sys.exit(main())
