# SPDX-License-Identifier: Apache-2.0
"""gRPC over HTTP/2 with hands on every byte (Debian's python3-h2), and servers that misbehave."""

import socket
import struct
import threading

import stack as real

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (apt-get install python3-h2)")


def frame(message, compressed=0, length=None):
    """The five bytes of gRPC before a message; length: what they claim."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


class H2:
    """One HTTP/2 connection to a sidecar."""

    def __init__(self, addr):
        host, port = addr.rsplit(":", 1)
        self.addr = addr
        self.socket = socket.create_connection((host, int(port)), real.WAIT_S)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.early = []  # events that came while something was being sent
        self.h2.initiate_connection()
        self.flush()

    def close(self):
        self.socket.close()

    def send_as_is(self):
        """From now on this side no longer checks or mends the header fields it sends."""
        self.h2.config.validate_outbound_headers = self.h2.config.normalize_outbound_headers = False

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def events(self):
        """What arrives next; an empty list: the other side closed."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return []
        if not data:
            return []
        events = self.h2.receive_data(data)
        for e in events:
            if isinstance(e, h2.events.DataReceived) and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        self.flush()
        return events + [None]

    def open(self, path, headers=()):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":path", path),
                                      (":authority", self.addr), ("te", "trailers"),
                                      ("content-type", "application/grpc"), *headers])
        self.flush()
        return stream

    def send(self, stream, data, end=False):
        """All of data, however small the windows; stops when the stream is over."""
        view = memoryview(data)
        try:
            while len(view):
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(view))
                if room == 0:
                    events = self.events()
                    if not events:
                        return
                    self.early += events
                    continue
                self.h2.send_data(stream, bytes(view[:room]))
                view = view[room:]
                self.flush()
            if end:
                self.h2.end_stream(stream)
                self.flush()
        except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError, BrokenPipeError, ConnectionResetError):
            return  # the answer came early

    def answer(self, stream):
        """(grpc-status or None, grpc-message, data) once the stream is over."""
        headers, data = {}, b""
        while True:
            events, self.early = self.early or self.events(), []
            if not events:
                return None, "connection closed", data
            for e in filter(None, events):
                if getattr(e, "stream_id", None) != stream:
                    if isinstance(e, h2.events.ConnectionTerminated):
                        return None, f"GOAWAY {e.error_code}", data
                    continue
                if isinstance(e, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    headers.update(e.headers)
                elif isinstance(e, h2.events.DataReceived):
                    data += e.data
                elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)):
                    status = headers.get("grpc-status")
                    return (None if status is None else int(status)), headers.get("grpc-message", ""), data

    def unary(self, path, body, headers=()):
        stream = self.open(path, headers)
        self.send(stream, body, end=True)
        return self.answer(stream)


class Fake:
    """A server on loopback that does what handle(socket) says with every connection."""

    def __init__(self, handle):
        self.handle = handle
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            try:
                self.handle(connection)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
