# SPDX-License-Identifier: Apache-2.0
"""etcd by an independent C client: every tenant gets the answers of a private etcd.

One story is told, line by line in turn, to a private etcd and through the sidecars of two tenants
and five neighbours that share one etcd. All transcripts must be equal; etcd_client leaves out what
differs between any two stores (revisions, ids chosen by the server).
"""

import re
import unittest

import cases

KV = r'''
call KV.Range key "\x00" range_end "\x00"
call KV.Put key "a" value "1"
call KV.Put key "a" value "2" prev_kv 1
call KV.Put key "a" ignore_value 1
call KV.Put key "none" ignore_value 1
call KV.Put key "a/b" value "x"
call KV.Put key "a/c" value "w"
call KV.Put key "a0" value "y"
call KV.Put key "b" value ""
call KV.Put key "." value "dot"
call KV.Put key "/" value "slash"
call KV.Put key "\x00" value "zero"
call KV.Put key "\xff\xff" value "high"
call KV.Put key "bh/d/b.secret" value "looks stored"
call KV.Range key "a"
call KV.Range key "none"
call KV.Range key "a" range_end "b"
call KV.Range key "a/" range_end "a0"
call KV.Range key "\x00" range_end "\x00"
call KV.Range key "b" range_end "\x00"
call KV.Range key "\xff\xff" range_end "\x00"
call KV.Range key "\xff\xff\xff" range_end "\x00"
call KV.Range key "b" range_end "a"
call KV.Range key "a" range_end "a"
call KV.Range key "\x00" range_end "\x00" limit 2
call KV.Range key "\x00" range_end "\x00" limit 2 sort_order DESCEND
call KV.Range key "\x00" range_end "\x00" sort_order DESCEND sort_target VALUE
call KV.Range key "\x00" range_end "\x00" sort_order ASCEND sort_target MOD keys_only 1
call KV.Range key "\x00" range_end "\x00" sort_order DESCEND sort_target VERSION limit 1
call KV.Range key "\x00" range_end "\x00" count_only 1
call KV.Range key "\x00" range_end "\x00" keys_only 1 serializable 1
call KV.Range key "\x00" range_end "\x00" min_mod_revision 999999999
call KV.Range key "a" revision 999999999
call KV.Range key "a" revision -5
call KV.Range key "\x00" range_end "\x00" limit -1
call KV.Range key "b" range_end "a" count_only 1
call KV.DeleteRange key "b" range_end "a" prev_kv 1
call KV.DeleteRange key "a" range_end "a"
call KV.Range key "first" key "a"
call KV.Range
call KV.Range key "" range_end "\x00"
call KV.Range range_end "z"
call KV.Put value "v"
call KV.Put key ""
call KV.DeleteRange
call KV.DeleteRange range_end "\x00"
call KV.DeleteRange key "none" prev_kv 1
call KV.DeleteRange key "a/" range_end "a0" prev_kv 1
call KV.Put key "lost" lease 4242
'''

TXN = r'''
call KV.Txn
call KV.Txn success { request_put { key "t" value "1" } } success { request_range { key "t" } }
call KV.Txn compare { target VALUE key "t" value "1" } success { request_put { key "t" value "2" prev_kv 1 } } failure { request_range { key "t" } }
call KV.Txn compare { target VALUE key "t" value "1" } success { request_put { key "t" value "3" } } failure { request_range { key "t" } }
call KV.Txn compare { result GREATER target VERSION key "t" version 1 } compare { target CREATE key "u" create_revision 0 } success { request_put { key "u" value "new" } }
call KV.Txn compare { result LESS target MOD key "t" mod_revision 1 } failure { request_delete_range { key "u" prev_kv 1 } }
call KV.Txn compare { result GREATER target VERSION key "t" range_end "v" version 0 } success { request_range { key "t" range_end "v" count_only 1 } }
call KV.Txn compare { result NOT_EQUAL target VALUE key "\x00" range_end "\x00" value "q" } success { request_range { key "\x00" range_end "\x00" limit 3 } }
call KV.Txn success { request_txn { compare { target VERSION key "n" version 0 } success { request_put { key "n" value "inner" } } success { request_txn { success { request_range { key "n" } } success { request_delete_range { key "t" prev_kv 1 } } } } } } success { request_range { key "t" range_end "\x00" } }
call KV.Txn success { request_range { key "" } }
call KV.Txn success { request_put { key "ok" value "1" } } success { request_txn { failure { request_put { value "no key" } } } }
call KV.Txn success { request_txn { success { request_delete_range { range_end "\x00" } } } }
call KV.Txn compare { target VERSION version 0 } success { request_range { key "a" } }
call KV.Txn compare { key "" target VERSION version 0 }
call KV.Txn success { request_txn { compare { target VERSION version 0 } } }
call KV.Txn success { }
call KV.Txn success { request_put { key "d" } } success { request_put { key "d" } }
call KV.Txn success { request_txn { success { request_txn { success { request_range { key "" range_end "\x00" } } } } } }
call KV.Txn success { request_txn { failure { request_txn { failure { request_put { key "" } } } } } }
call KV.Txn success { request_txn { failure { request_txn { success { request_delete_range { key "" range_end "z" } } } } } }
call KV.Txn success { request_txn { success { request_txn { compare { key "" target CREATE } } } } }
call KV.Txn success { request_txn { success { request_txn { success { request_range { key "t" range_end "" } } } } } }
call KV.Txn success { request_txn { success { request_txn { success { } } } } }
call KV.Txn success { request_range { key "u" range_end "t" } } success { request_delete_range { key "u" range_end "t" prev_kv 1 } }
call KV.Txn success { request_txn { success { request_range { key "u" range_end "t" } } success { request_delete_range { key "t" range_end "t" } } } }
call KV.Txn compare { target VERSION key "u" range_end "t" version 5 } success { request_range { key "none" } }
call KV.Txn compare { target 99 key "t" version 5 } success { request_range { key "none" } }
call KV.Txn compare { target -1 key "t" version 5 } success { request_range { key "none" } }
call KV.Txn compare { result 99 target VERSION key "t" version 5 } success { request_range { key "none" } }
call KV.Txn compare { target VALUE key "t" } success { request_range { key "none" } }
call KV.Txn success { request_put { key "d1" } } success { request_delete_range { key "d" range_end "e" } }
call KV.Range key "d" range_end "e"
''' + "call KV.Txn" + "".join(f' success {{ request_put {{ key "k{i}" }} }}' for i in range(129)) + r'''
call KV.Range key "k" range_end "l" count_only 1
'''
# At its limit of operations, and one over it: in each of a Txn's lists, in an inner one, and in depth.
MANY = [f'success {{ request_put {{ key "k{i}" }} }}' for i in range(129)]
TXN += "".join(f"call KV.Txn {' '.join(words[:n])}\n" for n in (128, 129) for words in (
    ['compare { key "t" target VERSION version 0 }'] * 129, ['failure { request_range { key "t" } }'] * 129))
TXN += "".join(f"call KV.Txn success {{ request_txn {{ {' '.join(MANY[:n])} }} }}\n" for n in (126, 127, 128, 129))
TXN += "".join("call KV.Txn " + "success { request_txn { " * n + "} } " * n + "\n" for n in (127, 128, 129, 130))
TXN += 'call KV.Range key "k" range_end "l" count_only 1\n'

LEASE = r'''
call Lease.LeaseLeases
call Lease.LeaseGrant TTL 500 ID 100
call Lease.LeaseGrant TTL 500 ID 100
call Lease.LeaseGrant TTL 600 ID 101
call Lease.LeaseGrant TTL 700
call Lease.LeaseGrant TTL 9000000001
call Lease.LeaseGrant TTL 0
call Lease.LeaseGrant TTL 0 ID 102
call Lease.LeaseGrant TTL -1 ID 103
call Lease.LeaseGrant TTL -1
call Lease.LeaseLeases
call KV.Put key "leased/1" value "x" lease 100
call KV.Put key "leased/2" value "y" lease 100
call KV.Put key "leased/2" ignore_lease 1 value "z"
call KV.Range key "leased/" range_end "leased0"
call KV.Txn compare { target LEASE key "leased/1" lease 100 } success { request_put { key "leased/3" lease 101 } } success { request_range { key "leased/3" } }
call KV.Txn compare { target LEASE key "leased/1" lease 101 } failure { request_range { key "leased/1" } }
call KV.Txn success { request_put { key "leased/4" lease 4242 } }
call KV.Txn success { request_put { key "leased/4" lease -7 } }
call KV.Txn success { request_txn { success { request_txn { success { request_put { key "leased/4" lease 4242 } } } } } }
call KV.Put key "leased/4" lease -1
call KV.Put key "leased/4" lease -9223372036854775808
call KV.Put key "leased/5" lease 0
call KV.Txn compare { target LEASE key "leased/5" lease 0 } success { request_delete_range { key "leased/5" } }
call KV.Txn compare { target LEASE key "leased/1" lease -1 } failure { request_range { key "leased/1" keys_only 1 } }
call Lease.LeaseTimeToLive ID 0 keys 1
call Lease.LeaseTimeToLive ID -1
call Lease.LeaseRevoke ID 0
call Lease.LeaseRevoke ID -1
call Lease.LeaseRevoke
call Lease.LeaseTimeToLive ID 100 keys 1
call Lease.LeaseTimeToLive ID 101
call Lease.LeaseTimeToLive ID 4242 keys 1
open k Lease.LeaseKeepAlive
send k ID 100
recv k
send k ID 4242
send k ID 101
send k ID 100
recv k
recv k
recv k
send k ID 0
recv k
send k ID -1
recv k
half k
recv k
status k
call Lease.LeaseRevoke ID 4242
call Lease.LeaseRevoke ID 100
call Lease.LeaseRevoke ID 100
call KV.Range key "leased/" range_end "leased0"
call Lease.LeaseTimeToLive ID 100 keys 1
call Lease.LeaseLeases
call Lease.LeaseGrant TTL 500 ID 100
call Lease.LeaseTimeToLive ID 100 keys 1
'''

WATCH = r'''
call KV.Put key "h/1" value "1"
call KV.Put key "h/1" value "2"
call KV.DeleteRange key "h/1"
open w Watch.Watch
send w create_request { key "\x00" range_end "\x00" watch_id 7 }
recv w
send w create_request { key "p" prev_kv 1 watch_id 9 }
recv w
send w create_request { key "p" range_end "q" filters NOPUT }
recv w
send w create_request { key "x" watch_id 7 }
recv w
send w create_request { key "x" watch_id 9 range_end "\x00" prev_kv 1 }
recv w
send w create_request { key "e" filters 99 watch_id 21 }
recv w
send w create_request { key "e" range_end "" watch_id 22 }
recv w
send w create_request { watch_id 21 }
recv w
send w cancel_request { watch_id 21 }
recv w
send w cancel_request { watch_id 21 }
send w cancel_request { watch_id -1 }
send w cancel_request { watch_id 9223372036854775807 }
send w cancel_request { watch_id 22 }
recv w
send w create_request { key "e" watch_id 21 }
recv w
send w create_request { key "z" range_end "a" }
recv w
send w progress_request { }
recv w
call KV.Put key "o" value "for 7 only"
recv w
send w cancel_request { watch_id 7 }
recv w
send w cancel_request { watch_id 12345 }
call KV.Put key "p" value "1"
recv w
call KV.Put key "p" value "2"
recv w
send w cancel_request { watch_id 9 }
recv w
call KV.DeleteRange key "p"
recv w
send w create_request { key "h/" range_end "h0" start_revision 1 prev_kv 1 watch_id 11 }
recv w
recv w
half w
call KV.Put key "h/1" value "after the half close"
recv w
cancel w
status w
open both Watch.Watch
send both create_request { range_end "\x00" prev_kv 1 }
recv both
call KV.Txn success { request_put { key "m/1" value "1" } } success { request_put { key "m/2" value "2" } } success { request_delete_range { key "h/1" } }
recv both
call KV.Put key "m/1" lease 101
recv both
call Lease.LeaseRevoke ID 101
recv both
send both create_request { key "" }
recv both
call KV.Put key "\x00" value "the empty key of a watch is this one"
recv both
recv both
cancel both
status both
'''

END = r'''
call KV.Range key "\x00" range_end "\x00"
call KV.DeleteRange key "\x00" range_end "\x00"
call KV.Range key "\x00" range_end "\x00"
call Lease.LeaseRevoke ID 100
'''


def lines(text):
    return [line for line in text.splitlines() if line]


def stable(transcript):
    """Two watches of one stream may speak in either order, so may the keys of a lease; seconds pass."""
    out = []
    for answer in transcript:
        if "LeaseTimeToLive" in answer:
            answer = re.sub(r" TTL \d+", " TTL <seconds>", answer)
            keys = re.findall(r' keys "[^"]*"', answer)
            answer = re.sub(r' keys "[^"]*"', "", answer) + "".join(sorted(keys))
        if answer.startswith("recv both") and out and out[-1].startswith("recv both"):
            out[-1:] = sorted((out[-1], answer))
        else:
            out.append(answer)
    return out


class EtcdC(cases.Shared):
    use_nats = False
    neighbours = cases.NEIGHBOURS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.private = cls.stack.etcd("private-etcd")
        places = [cls.private.addr] + [s.etcd for s in (cls.a, cls.b, *cls.around)]
        cls.names = ["private", "a", "b", *cls.neighbours]
        cls.clients = [cls.stack.etcd_client(p) for p in places]

    def tell_all(self, text):
        private, *others = [stable(t) for t in cases.in_turn(self.clients, lines(text))]
        for name, transcript in zip(self.names[1:], others):
            self.assertEqual("\n".join(private), "\n".join(transcript),
                             f"namespace {name} differs from a private etcd")

    def test_1_keys(self):
        self.tell_all(KV)

    def test_2_transactions(self):
        self.tell_all(TXN)

    def test_3_leases(self):
        self.tell_all(LEASE)

    def test_4_watches(self):
        self.tell_all(WATCH)

    def test_5_deleting_everything_deletes_ones_own(self):
        # One after the other: whoever comes later must still have everything.
        transcripts = []
        for client in self.clients:
            transcripts += cases.in_turn([client], lines(END))
        for name, transcript in zip(self.names[1:], transcripts[1:]):
            self.assertEqual("\n".join(transcripts[0]), "\n".join(transcript), name)
        left = [k for k in cases.check_stored_keys(self.etcd) if k.startswith(b"bh/d")]
        self.assertEqual([], left)


if __name__ == "__main__":
    unittest.main(verbosity=2)
