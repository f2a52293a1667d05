# SPDX-License-Identifier: Apache-2.0
"""A list of 64 MiB to an application that stops reading: the sidecar holds it once, others are served meanwhile."""

import re
import unittest

import cases
import h2.events
import rawh2
import stack as real
import wirepb

KEYS, VALUE = 64, b"v" * (1 << 20)
BOUND_KIB = 80 * 1024  # its length goes before its first byte, so it is held: 64 MiB and what a sidecar is
KEY, RANGE_END, LIMIT = 1, 2, 3  # etcd rpc.proto RangeRequest
KVS, KV_KEY, KV_VALUE, PUT_VALUE = 2, 1, 5, 2


class SlowReader(cases.Shared):
    use_nats = False

    def h2(self, addr):
        client = rawh2.H2(addr)
        self.addCleanup(client.close)
        return client

    def received_mib(self):
        """Of etcd, by the sidecar."""
        text = real.http_get(self.a.health, "/metrics")[1]
        return int(re.search(r'^bulkhead_bytes_total\{plane="etcd",side="up",direction="in"\} (\d+)', text, re.M)[1]) >> 20

    def until_end(self, client, stream):
        """The whole answer, of which nothing has been read yet."""
        data, status = bytearray(), None
        while True:
            events = client.events()
            self.assertTrue(events, "the connection ended")
            for e in filter(None, events):
                if isinstance(e, h2.events.DataReceived):
                    data += e.data
                elif isinstance(e, h2.events.TrailersReceived):
                    status = dict(e.headers)["grpc-status"]
                elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)) and e.stream_id == stream:
                    return status, bytes(data)

    def test_it_is_held_once_and_others_are_served(self):
        store = self.h2(self.etcd.addr)
        for n in range(KEYS):
            put = wirepb.pb((KEY, b"bh/d/a.slow/%02d" % n), (PUT_VALUE, VALUE))
            self.assertEqual(0, store.unary("/etcdserverpb.KV/Put", rawh2.frame(put))[0])
        slow, other, watcher = self.h2(self.a.etcd), self.h2(self.a.etcd), self.stack.etcd_client(self.a.etcd)
        watcher.ask("open w Watch.Watch")
        watcher.ask('send w create_request { key "k" }')
        self.assertIn("created 1", watcher.ask("recv w"))
        stream = slow.open("/etcdserverpb.KV/Range")
        everything = wirepb.pb((KEY, b"slow/"), (RANGE_END, b"slow0"))
        slow.send(stream, rawh2.frame(everything), end=True)
        real.wait_until(lambda: self.received_mib() >= KEYS, "the sidecar has all of it")
        small = wirepb.pb((KEY, b"slow/00"), (LIMIT, 1))
        status, _, data = other.unary("/etcdserverpb.KV/Range", rawh2.frame(small))
        self.assertEqual((0, VALUE), (status, wirepb.field(wirepb.field(data[5:], KVS), KV_VALUE)))
        self.assertEqual("OK", watcher.ask('call KV.Put key "k" value "meanwhile"'))
        self.assertIn('value "meanwhile"', watcher.ask("recv w"))
        status, data = self.until_end(slow, stream)
        self.assertEqual("0", status)
        self.assertEqual(len(data) - 5, int.from_bytes(data[1:5], "big"))
        pairs = [(wirepb.field(kv, KV_KEY), wirepb.field(kv, KV_VALUE) == VALUE) for kv in wirepb.every(data[5:], KVS)]
        self.assertEqual([(b"slow/%02d" % n, True) for n in range(KEYS)], pairs)
        peak = self.a.peak_kib()
        if not real.is_sanitized(real.sidecar_binary()):  # which keeps what was freed
            self.assertGreater(peak, KEYS * 1024)
            self.assertLess(peak, BOUND_KIB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
