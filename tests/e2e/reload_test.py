# SPDX-License-Identifier: Apache-2.0
"""A running sidecar takes what has changed in its file (design.md 8.1), by SIGHUP and by itself, or keeps
what it has; and the pages of the admin listener (8.2)."""

import json
import os
import re
import signal
import socket
import threading
import unittest

import stack as real

SECRET = "s3cret-7788"


def post(addr, path):
    host, port = addr.rsplit(":", 1)
    with socket.create_connection((host, int(port)), real.WAIT_S) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    return int(data.split()[1]), data.partition(b"\r\n\r\n")[2].decode()


class Door:
    """A way to a store, of a port of its own: what comes back can be held, and all of it can be cut."""

    def __init__(self, to, hold_after=None):
        self.to, self.open, self.asked = to, [], 0
        self.held = threading.Event()
        self.hold_after = hold_after  # so many pieces of each connection come back
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
                host, port = self.to.rsplit(":", 1)
                far = socket.create_connection((host, int(port)))
            except OSError:
                return
            self.open += [near, far]
            for source, to, comes_back in ((near, far, False), (far, near, True)):
                threading.Thread(target=self.copy, args=(source, to, comes_back), daemon=True).start()

    def copy(self, source, to, comes_back):
        pieces = 0
        try:
            while data := source.recv(65536):
                if comes_back and (self.held.is_set() or pieces == self.hold_after):
                    continue
                pieces += 1
                to.sendall(data)
                if not comes_back:
                    self.asked += len(data)
        except OSError:
            pass

    def cut(self):
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        self.cut()


class Reload(unittest.TestCase):
    def setUp(self):
        self.stack = real.Stack("reload")
        self.addCleanup(self.stack.close)

    def write(self, **values):
        """The file is always moved into place."""
        self.values = {k: v for k, v in {**self.values, **values}.items() if v is not None}
        with open(self.path + ".new", "w") as f:
            json.dump({k.replace("_", "-"): v for k, v in self.values.items()}, f)
        os.rename(self.path + ".new", self.path)

    def start(self, **values):
        self.path, self.values = self.stack.path("config.json"), {}
        self.write(namespace="a", etcd_listen="127.0.0.1:0", nats_listen="127.0.0.1:0",
                   admin_listen="127.0.0.1:0", **values)
        sidecar = self.stack.sidecar(None, args=("--config", self.path))
        self.admin = re.search(r"admin=(\S+)", sidecar.out()).group(1)
        self.sidecar = sidecar
        return sidecar

    def reloads(self, result):
        text = real.http_get(self.sidecar.health, "/metrics")[1]
        return int(re.search(rf'bulkhead_config_reloads_total{{result="{result}"}} (\d+)', text).group(1))

    def after(self, result, act):
        """act() brings one reload with this result."""
        before = self.reloads(result)
        act()
        self.sidecar.until(lambda: self.reloads(result) > before, "a reload is " + result)

    def buses(self):
        """Where the NATS connections that are open lead to."""
        text = real.http_get(self.admin, "/connections")[1]
        return sorted(re.findall(r"(?m)^plane=nats side=app peer=\S+ upstream=(\S+) state=open$", text))

    def door(self, to, **kwargs):
        door = Door(to, **kwargs)
        self.addCleanup(door.close)
        return door

    def connected(self, door, lane):
        self.sidecar.until(lambda: f"connected to etcd\" peer={door.addr} lane={lane}" in self.sidecar.log(),
                           f"the {lane} lane is on another address")

    def test_a_connection_that_was_left_and_is_lost_with_a_read_of_a_watch(self):
        etcd, key = self.stack.etcd(), "v1/mdc/k"
        left, taken = self.door(etcd.addr), self.door(etcd.addr)
        child = self.stack.etcd_client(self.stack.sidecar("a/b", etcd).etcd, "child")
        self.assertEqual("OK", child.ask(f'call KV.Put key "{key}" value "of the child"'))
        client = self.stack.etcd_client(self.start(etcd_upstream=[left.addr]).etcd)
        self.assertEqual("OK", client.ask(f'call KV.Put key "{key}" value "of the parent"'))
        # Calls stay where they are; streams begin with the first address.
        self.after("taken", lambda: self.write(etcd_upstream=[taken.addr, left.addr]))
        client.ask("open w Watch.Watch")
        client.ask(f'send w create_request {{ key "{key}" }}')
        self.assertIn("created 1", client.ask("recv w"))
        self.connected(taken, "stream")
        left.held.set()
        asked = left.asked
        real.etcdctl(etcd.url, "del", "bh/d/a." + key)
        real.wait_until(lambda: left.asked > asked, "whose the key is now is asked for")
        self.after("taken", lambda: self.write(etcd_upstream=[taken.addr]))
        self.connected(taken, "unary")
        left.cut()
        self.assertIn('value "of the child"', client.ask("recv w"))

    def test_a_connection_that_was_left_and_is_lost_while_the_namespace_registers(self):
        etcd = self.stack.etcd()
        left, taken = self.door(etcd.addr, hold_after=1), self.door(etcd.addr)
        sidecar = self.start(etcd_upstream=[left.addr])
        self.connected(left, "unary")
        self.after("taken", lambda: self.write(etcd_upstream=[taken.addr]))
        self.connected(taken, "unary")
        left.cut()
        self.assertEqual("OK", self.stack.etcd_client(sidecar.etcd).ask('call KV.Put key "k" value "v"'))

    def test_other_stores_other_limits_another_level(self):
        old, new = self.stack.etcd("old"), self.stack.etcd("new")
        bus, other = self.stack.nats("bus"), self.stack.nats("other")
        sidecar = self.start(etcd_upstream=old.url, nats_upstream=bus.url)
        client = self.stack.etcd_client(sidecar.etcd)
        nats = self.stack.nats_client(sidecar.nats_url)
        client.ask("open w Watch.Watch")
        client.ask('send w create_request { key "k" }')
        self.assertIn("created 1", client.ask("recv w"))
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "old"'))
        self.assertIn('"old"', client.ask("recv w"))
        real.wait_until(lambda: self.buses() == [bus.addr], "the NATS client is connected")
        self.assertEqual("info\n", real.http_get(self.admin, "/loglevel")[1])
        self.after("taken", lambda: self.write(etcd_upstream=[new.url], nats_upstream=[other.url],
                                               log_level="debug", max_connections=3, drain_ms=900))
        # A call may meet the moment between the stores; Unavailable says that it was not done.
        real.wait_until(lambda: client.ask('call KV.Put key "k" value "new"') == "OK", "the new store takes it")
        self.assertIn("new", real.etcdctl(new.url, "get", "bh/d/a.k").stdout)
        self.assertIn("old", real.etcdctl(old.url, "get", "bh/d/a.k").stdout)
        self.assertEqual("debug\n", real.http_get(self.admin, "/loglevel")[1])
        self.assertIn("max-connections = 3", real.http_get(self.admin, "/config")[1])
        # The NATS connection stays where it is; the next one goes to the other server.
        self.assertEqual([bus.addr], self.buses())
        second = self.stack.nats_client(sidecar.nats_url)
        real.wait_until(lambda: self.buses() == sorted([bus.addr, other.addr]), "the next one is on the other bus")
        # Three connections of applications there are now: no more.
        with socket.create_connection(tuple(sidecar.etcd.split(":"))) as s:
            s.settimeout(real.WAIT_S)
            try:
                self.assertEqual(b"", s.recv(1))
            except ConnectionResetError:
                pass
        for c in (client, nats, second):
            c.stop()

    def test_several_addresses_are_asked_for_their_leader(self):
        """One more stream on etcd while there is another address to go to, and only then."""
        etcd = self.stack.etcd("only")
        one, two = [etcd.url], [etcd.url, etcd.url.replace("127.0.0.1", "localhost")]
        self.start(etcd_upstream=one)
        client = self.stack.etcd_client(self.sidecar.etcd)
        client.ask("open w Watch.Watch")
        client.ask('send w create_request { key "k" }')
        self.assertIn("created 1", client.ask("recv w"))

        def streams():
            text = real.http_get(etcd.addr, "/metrics")[1]
            return int(re.search(r"(?m)^etcd_debugging_mvcc_watch_stream_total (\d+)$", text).group(1))
        real.wait_until(lambda: streams() == 2, "the registry's entry and the application watch")
        for addresses, n in ((two, 3), (one, 2), (two, 3)):
            self.after("taken", lambda a=addresses: self.write(etcd_upstream=a))
            real.wait_until(lambda n=n: streams() == n, f"{n} streams with {addresses}")
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "v"'))
        self.assertIn('"v"', client.ask("recv w"))
        client.stop()

    def test_an_echoless_connection_is_not_answered_at_another_bus(self):
        """Its voice (nats_voice.c) is dialled when it is needed: never to a server that has taken the old
        one's place. The connection ends, and its client comes again."""
        bus = self.stack.nats("bus", extra=("-js", "-sd", self.stack.path("js")))
        other = self.stack.nats("other")
        sidecar = self.start(nats_upstream=bus.url)

        def connect(addr):
            s = socket.create_connection(tuple(addr.split(":")), real.WAIT_S)
            self.addCleanup(s.close)
            s.sendall(b'CONNECT {"echo":false,"verbose":false}\r\nPING\r\n')
            self.read_until(s, b"PONG\r\n")
            return s
        client, listener = connect(sidecar.nats), connect(other.addr)
        listener.sendall(b"SUB > 1\r\nPING\r\n")
        self.read_until(listener, b"PONG\r\n")
        self.after("taken", lambda: self.write(nats_upstream=[other.url]))
        client.sendall(b"SUB _INBOX.x 1\r\nPUB $JS.API.INFO _INBOX.x 0\r\n\r\n")
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass
        listener.sendall(b"PING\r\n")
        self.assertEqual(b"PONG\r\n", self.read_until(listener, b"PONG\r\n"))

    def read_until(self, s, end):
        data = b""
        while not data.endswith(end):
            more = s.recv(4096)
            self.assertTrue(more, data)
            data += more
        return data

    def test_by_sighup_and_what_is_refused(self):
        etcd = self.stack.etcd()
        sidecar = self.start(etcd_upstream=etcd.url)
        for bad, why in (({"namespace": "b"}, "namespace: another value needs a restart"),
                         ({"etcd_listen": "127.0.0.1:1"}, "etcd-listen: another value needs a restart"),
                         ({"nats_upstream": "127.0.0.1:1"}, "nats-upstream: to switch the plane on or off needs a"),
                         ({"log_level": "loud"}, "the level is error, warn, info or debug"),
                         ({"no_such_option": "x"}, "unknown key")):
            with self.subTest(bad):
                self.after("refused", lambda: self.write(log_format="json", **bad))
                self.assertIn(why, sidecar.log())
                self.after("refused", lambda: sidecar.send_signal(signal.SIGHUP))
                self.write(log_format=None, **{k: {"namespace": "a", "etcd_listen": "127.0.0.1:0"}.get(k)
                                               for k in bad})
                self.after("taken", lambda: sidecar.send_signal(signal.SIGHUP))
        self.assertNotIn('{"', sidecar.log())  # no json: nothing of a refused file was taken
        client = self.stack.etcd_client(sidecar.etcd)
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "v"'))

    def test_a_password_is_mended(self):
        etcd = self.stack.etcd()
        for words in (("user", "add", "root:root"), ("user", "grant-role", "root", "root"),
                      ("auth", "enable")):
            self.assertEqual(0, real.etcdctl(etcd.url, *words).returncode)
        sidecar = self.start(etcd_upstream=etcd.url, etcd_user="root", etcd_password=SECRET)
        sidecar.until(lambda: "etcd refuses" in real.http_get(sidecar.health, "/readyz")[1], "it is refused")
        self.after("taken", lambda: self.write(etcd_password="root"))
        sidecar.until(lambda: real.http_get(sidecar.health, "/readyz")[0] == 200, "it is let in")
        client = self.stack.etcd_client(sidecar.etcd)
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "v"'))
        shown = real.http_get(self.admin, "/config")[1]
        self.assertRegex(shown, "etcd-password = (?!root)")
        for text in (shown, sidecar.log(), real.http_get(self.admin, "/connections")[1]):
            self.assertNotIn(SECRET, text)

    def test_a_volume_of_kubernetes(self):
        """What is mounted is a link into ..data, which is a link that is exchanged."""
        etcd, volume = self.stack.etcd(), self.stack.path("volume")
        os.mkdir(volume)

        def bring(version, level):
            os.mkdir(os.path.join(volume, version))
            with open(os.path.join(volume, version, "config.json"), "w") as f:
                json.dump({"log-level": level}, f)
            os.symlink(version, os.path.join(volume, "..tmp"))
            os.rename(os.path.join(volume, "..tmp"), os.path.join(volume, "..data"))

        bring("..1", "info")
        path = os.path.join(volume, "config.json")
        os.symlink("..data/config.json", path)
        self.sidecar = self.stack.sidecar("a", etcd, args=("--config", path, "--admin-listen", "127.0.0.1:0"))
        self.admin = re.search(r"admin=(\S+)", self.sidecar.out()).group(1)
        self.after("taken", lambda: bring("..2", "debug"))
        self.assertEqual("debug\n", real.http_get(self.admin, "/loglevel")[1])

    def test_the_pages(self):
        sidecar = self.start(etcd_upstream=self.stack.etcd().url)
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask("open w Watch.Watch")
        client.ask('send w create_request { key "dir/" range_end "dir0" watch_id 7 }')
        self.assertIn("created 1", client.ask("recv w"))
        client.ask('send w create_request { key "\\x01\\"" range_end "\\x00" }')
        self.assertIn("created 1", client.ask("recv w"))
        self.assertEqual("OK", client.ask('call KV.Put key "dir/x" value "hidden-value"'))
        client.ask("recv w")
        watches = real.http_get(self.admin, "/watches")[1]
        self.assertRegex(watches, r'(?m)^peer=127\.0\.0\.1:\d+ stream=\d+ watch=7 state=live next=\d+ view=own '
                                  r'key="dir/" range_end="dir0"$')
        self.assertIn(r'key="\x01\x22" range_end="\x00"', watches)
        self.assertEqual(2, len(watches.splitlines()))
        connections = real.http_get(self.admin, "/connections")[1]
        self.assertRegex(connections, r'(?m)^plane=etcd side=up lane=stream peer=\S+ state="usable" streams=1$')
        self.assertRegex(connections, r'(?m)^plane=etcd side=app peer=\S+ protocol="http2" streams=1$')
        self.assertNotIn("hidden-value", watches + connections)
        self.assertIn('namespace = a (', real.http_get(self.admin, "/config")[1])
        self.assertEqual((200, "warn\n"), post(self.admin, "/loglevel?level=warn"))
        self.assertEqual("warn\n", real.http_get(self.admin, "/loglevel")[1])
        self.assertEqual(400, post(self.admin, "/loglevel?level=loud")[0])
        self.assertEqual(405, real.http_get(self.admin, "/drain")[0])
        self.assertEqual(405, post(self.admin, "/config")[0])
        for page in ("/config", "/watches", "/connections", "/loglevel"):  # on that listener alone
            self.assertEqual(404, real.http_get(sidecar.health, page)[0])
        client.stop()
        self.assertEqual((202, "draining\n"), post(self.admin, "/drain"))
        self.assertEqual(0, sidecar.popen.wait(real.WAIT_S))


if __name__ == "__main__":
    unittest.main(verbosity=2)
