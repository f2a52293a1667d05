# SPDX-License-Identifier: Apache-2.0
"""A NATS client on a bare socket: to send exactly these bytes, and to listen on the shared server."""

import collections
import json
import socket

import stack as real

Message = collections.namedtuple("Message", "subject sid reply headers payload")


class Closed(Exception):
    """The server ended the connection; args: what it had said before."""


class Raw:
    def __init__(self, addr, connect='{"verbose":false,"headers":true,"no_responders":true}'):
        host, port = addr.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), real.WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.messages = []
        self.said = []  # control lines other than messages
        try:
            line = self.line()
            assert line.startswith(b"INFO "), line
        except BaseException:
            self.socket.close()
            raise
        self.info = json.loads(line[5:])
        if connect is not None:
            self.send(b"CONNECT " + connect.encode() + b"\r\n")

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(b"".join(self.said), self.buffer)
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def exactly(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def next(self):
        """The next thing said: a Message, or a control line as bytes. Answers PING."""
        while True:
            line = self.line()
            verb = line.split(b" ", 1)[0]
            if verb == b"PING":
                self.send(b"PONG\r\n")
                continue
            if verb not in (b"MSG", b"HMSG"):
                self.said.append(line)
                return line
            words = line.decode("latin-1").split()
            sizes = [int(w) for w in words[-2 if verb == b"HMSG" else -1:]]
            body = self.exactly(sizes[-1] + 2)
            assert body.endswith(b"\r\n"), (line, body[-4:])
            head = sizes[0] if verb == b"HMSG" else 0
            rest = words[3:-len(sizes)]
            m = Message(words[1], words[2], rest[0] if rest else None, body[:head], body[head:-2])
            self.messages.append(m)
            return m

    def until(self, wanted):
        """Reads until a control line equal to wanted."""
        while self.next() != wanted:
            pass

    def flush(self):
        """All that was sent before has been seen by the server."""
        self.send(b"PING\r\n")
        self.until(b"PONG")

    def subscribe(self, subject, sid="1", group=None):
        self.send(f"SUB {subject} {group + ' ' if group else ''}{sid}\r\n")
        self.flush()

    def publish(self, subject, payload=b"", reply=None):
        payload = payload.encode() if isinstance(payload, str) else payload
        self.send(f"PUB {subject} {reply + ' ' if reply else ''}{len(payload)}\r\n".encode() + payload + b"\r\n")

    def drain(self):
        """Everything that was heard until now."""
        self.flush()
        messages, self.messages = self.messages, []
        return messages

    def until_closed(self):
        """Every control line until the other side closes."""
        lines = []
        try:
            while True:
                lines.append(self.next())
        except Closed:
            return lines
