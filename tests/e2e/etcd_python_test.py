# SPDX-License-Identifier: Apache-2.0
"""etcd by Python's etcd3 (Debian's python3-etcd3): two tenants with equal names for everything."""

import queue
import threading
import unittest

import cases
import stack as real

try:
    import etcd3
    import grpc
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (apt-get install python3-etcd3)")


# A watcher thread of this library that meets its closed channel prints a traceback; it means nothing.
threading.excepthook = lambda args: None


def connect(sidecar):
    host, port = sidecar.etcd.split(":")
    return etcd3.client(host=host, port=int(port), timeout=20)


def values(client, prefix=""):
    return [(m.key, v) for v, m in (client.get_prefix(prefix) if prefix else client.get_all())]


class EtcdPython(cases.Shared):
    use_nats = False
    neighbours = ("a/child", "default")

    def setUp(self):
        self.clients = {s.namespace: connect(s) for s in (self.a, self.b, *self.around)}

    def tearDown(self):
        for c in self.clients.values():
            for _, m in c.get_all():
                c.delete(m.key)
            c.close()

    def test_keys_and_ranges(self):
        for who, c in self.clients.items():
            c.put("k", who)
            c.put("k/1", "1 " + who)
            c.put_if_not_exists("once", who)
            self.assertTrue(c.replace("k", who, who + "!"))
        for who, c in self.clients.items():
            self.assertFalse(c.put_if_not_exists("once", "again"))
            self.assertEqual((who + "!").encode(), c.get("k")[0])
            self.assertEqual([(b"k", (who + "!").encode()), (b"k/1", b"1 " + who.encode())], values(c, "k"))
            self.assertEqual([b"k", b"k/1", b"once"], [k for k, _ in values(c)])
            self.assertEqual([b"once", b"k/1", b"k"],
                             [m.key for _, m in c.get_all(sort_order="descend", sort_target="key")])
            self.assertEqual([b"k/1"], [m.key for _, m in c.get_range("k/", "l")])
        self.assertTrue(self.clients["a"].delete("k"))
        self.assertFalse(self.clients["a"].delete("k"))
        self.assertIsNotNone(self.clients["b"].get("k")[0])
        self.assertEqual(1, self.clients["a"].delete_prefix("k").deleted)
        self.assertEqual(3, len(values(self.clients["b"])))

    def test_nested_transactions(self):
        for who, c in self.clients.items():
            c.put("t", who)
            ok, answers = c.transaction(
                compare=[c.transactions.value("t") == who, c.transactions.version("t") > 0],
                success=[c.transactions.put("t", "2 " + who), c.transactions.get("t"), c.transactions.txn(
                    compare=[c.transactions.create("inner") == "0"],
                    success=[c.transactions.put("inner", who), c.transactions.get("inner")], failure=[])],
                failure=[c.transactions.delete("t")])
            self.assertTrue(ok)
            self.assertEqual(("2 " + who).encode(), answers[1][0][0])
            self.assertEqual(who.encode(), c.get("inner")[0])

    def test_watches_on_everything(self):
        heard = {who: queue.Queue() for who in self.clients}
        ids = {}
        for who, c in self.clients.items():
            ids[who] = c.add_watch_callback(  # every key: this library has no empty prefix
                "\0", lambda response, who=who: [heard[who].put(e) for e in response.events],
                range_end="\0", prev_kv=True)
        for n in range(3):
            for who, c in self.clients.items():
                c.put("w", f"{n} {who}")
        for who, c in self.clients.items():
            c.delete("w")
        for who, c in self.clients.items():
            events = [heard[who].get(timeout=20) for _ in range(4)]
            self.assertEqual([f"{n} {who}".encode() for n in range(3)], [e.value for e in events[:3]])
            self.assertEqual({b"w"}, {e.key for e in events})
            self.assertIsInstance(events[3], etcd3.events.DeleteEvent)
            self.assertEqual(f"2 {who}".encode(), events[3].prev_value)
            self.assertTrue(heard[who].empty())
            c.cancel_watch(ids[who])

    def test_equal_lease_ids(self):
        leases = {who: c.lease(600, lease_id=100) for who, c in self.clients.items()}
        for who, c in self.clients.items():
            c.put("leased", who, lease=leases[who])
            self.assertEqual(100, leases[who].id)
            self.assertEqual([b"leased"], list(leases[who].keys))
            self.assertEqual(600, leases[who].granted_ttl)
            self.assertEqual(600, leases[who].refresh()[0].TTL)
        leases["a"].revoke()
        self.assertEqual((None, None), self.clients["a"].get("leased"))
        self.assertEqual(-1, leases["a"].remaining_ttl)
        for who in ("b", "a/child", "default"):
            self.assertEqual(who.encode(), self.clients[who].get("leased")[0])
            leases[who].revoke()

    def test_locks_with_one_name(self):
        locks = {who: c.lock("the-lock", ttl=60) for who, c in self.clients.items()}
        for who, lock in locks.items():
            self.assertTrue(lock.acquire(timeout=10), who)  # all at once: they are different locks
        for lock in locks.values():
            self.assertTrue(lock.release())

    def test_a_large_value_and_a_value_too_large(self):
        a = self.clients["a"]
        a.put("big", b"x" * 1_000_000)
        self.assertEqual(1_000_000, len(a.get("big")[0]))
        with self.assertRaises(Exception) as caught:
            a.put("bigger", b"x" * 1_700_000)
        self.assertIn("request is too large", str(caught.exception))
        a.put("after", "still here")

    def test_cluster_of_the_sidecar(self):
        a = self.clients["a"]
        members = list(a.members)
        self.assertEqual([[self.a.etcd_url]], [list(m.client_urls) for m in members])
        self.assertTrue(a.status().version.startswith("3."))
        with self.assertRaises(grpc.RpcError) as caught:
            a.compact(1)
        self.assertIn("permission denied", caught.exception.details())


if __name__ == "__main__":
    unittest.main(verbosity=2)
