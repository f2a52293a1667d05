/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit - every bound of the sidecar: value, unit, reason (design.md 3.5).
 *
 * Every buffer is bounded; reading from one side stops while the other side's output is above its
 * high mark.
 */
#ifndef LIMIT_H
#define LIMIT_H

enum {
    /* One read() from a socket; shared by all connections of the loop, so its size costs nothing.
     */
    LIMIT_READ_BYTES = 64 * 1024,
    /* Output waiting for a slow peer, per side; above it the other side is not read. */
    LIMIT_OUT_HIGH_BYTES = 128 * 1024,
    /* Below it reading goes on. */
    LIMIT_OUT_LOW_BYTES = 64 * 1024,
    /* Output to a NATS client that does not read but goes on making us answer (-ERR): above it the
     * client itself is not read. More than what the upstream can have put there (high mark + one
     * read), or a client that writes before it reads could block itself. */
    LIMIT_OUT_OWN_BYTES = 512 * 1024,
    /* Connections of applications, both planes together; 0 in the configuration = this. */
    LIMIT_CONNECTIONS = 8192,

    /* etcd: --max-request-bytes 1.5 MiB + 512 KiB, what etcd's own gRPC server takes. */
    LIMIT_GRPC_REQUEST_BYTES = 2 * 1024 * 1024,
    /* etcd sends up to 2 GiB - 1; one response is held whole because its length precedes it. */
    LIMIT_GRPC_RESPONSE_BYTES = 512 * 1024 * 1024,
    /* etcd checks depth and width of a Txn together against --max-txn-ops 128. */
    LIMIT_TXN_OPS = 128,
    /* Protobuf nesting on the way through: a Txn level is two messages, plus the leaves. */
    LIMIT_PB_DEPTH = 300,
    /* HTTP/2 header list of one request; etcd's clients send below 1 KiB. */
    LIMIT_HEADER_LIST_BYTES = 16 * 1024,
    /* HTTP/2 flow-control windows we grant, per stream and per connection. */
    LIMIT_H2_STREAM_WINDOW = 1024 * 1024,
    LIMIT_H2_CONN_WINDOW = 16 * 1024 * 1024,
    /* The window of one request: requests are small, and a stream of many tiny ones grows when it
     * is mapped, so less of it is taken in ahead. */
    LIMIT_H2_REQUEST_WINDOW = 256 * 1024,
    /* Bytes of a stream's window are given back together, from so many on. HTTP/2 tells the sender
     * at half a window, so with less than that held back it never waits for us. */
    LIMIT_H2_GIVE_BYTES = 32 * 1024,
    /* Answers to the PING with which gRPC for Go measures bandwidth after every message: at most
     * one in this time. Long enough to save most of them, short beside what it measures for. */
    LIMIT_PING_ACK_MS = 10,
    /* A connection that brings so many events a millisecond that no watch shows, measured over
     * windows of this length, is woken for so many bytes, or so long after it was read last
     * (io/coalesce.h). A wake-up costs as much as forty such events; 4 ms is below what the slowest
     * hundredth of etcd's own puts takes under that load (bench/README.md). */
    LIMIT_COALESCE_EVENTS_PER_MS = 4,
    LIMIT_COALESCE_WINDOW_MS = 8,
    LIMIT_COALESCE_BYTES = 32 * 1024,
    LIMIT_COALESCE_MS = 4,
    /* Streams of one application connection at a time; every watch and keep-alive holds one, so
     * far above need (etcd says 2^32 - 1). A stream costs us about 1 KiB. */
    LIMIT_H2_STREAMS = 65536,
    /* Streams that an application resets: this many at once, and so many a second on average;
     * above it the connection is ended (each costs etcd a call that nobody waits for). */
    LIMIT_H2_RESETS_BURST = 10000,
    LIMIT_H2_RESETS_PER_S = 2000,
    /* SETTINGS and PING frames waiting for our answers: nghttp2's flood guard. */
    LIMIT_H2_OUTBOUND_ACKS = 1000,
    /* Keep-alive requests in flight on one stream; from there on no more window is given. */
    LIMIT_KEEPALIVES_IN_FLIGHT = 4096,
    /* What may be in flight all the same: that, and a window full of the smallest frames. */
    LIMIT_KEEPALIVES_QUEUED = LIMIT_KEEPALIVES_IN_FLIGHT + LIMIT_H2_REQUEST_WINDOW / 5,
    /* Calls that wait for the first usable upstream, per sidecar. */
    LIMIT_CALLS_WAITING = 4096,
    /* Message bytes held for all calls of a sidecar together; a call that needs more ends with
     * ResourceExhausted. Twice the largest response, because a buffer that grows is copied. */
    LIMIT_HELD_BYTES = 1024 * 1024 * 1024,
    /* Finished calls kept for the next ones, so that a busy sidecar does not allocate. */
    LIMIT_CALLS_SPARE = 64,
    /* A token of etcd: a signed one (JWT) has about 1 KiB, and it goes into one header field. */
    LIMIT_ETCD_TOKEN_BYTES = 8 * 1024,
    /* ms; a token that is older is renewed before it opens a stream: etcd's live 300 s. */
    LIMIT_ETCD_TOKEN_FRESH_MS = 240 * 1000,
    /* ms; a watch that is refused under a token that is younger is not tried with another one. */
    LIMIT_ETCD_TOKEN_NEW_MS = 1000,
    /* Bytes of a unary request that are kept to send it again with another token; one that is
     * longer ends with Unavailable instead. */
    LIMIT_ETCD_AGAIN_BYTES = 64 * 1024,

    /* Namespaces that one sidecar with view subtree knows: a number and a path each, some 100
     * bytes.
     */
    LIMIT_FAMILY = 1000000,
    /* Bytes of one Txn that reads several namespaces; etcd's limit is three times as much. */
    LIMIT_GATHER_BYTES = 512 * 1024,
    /* A read whose revision is compacted before its last page begins anew so often. */
    LIMIT_GATHER_TRIES = 4,
    /* Watches of a stream that may all be created again for one of the future whose start came
     * first (etcd/etcd_call_fill.c); of more it begins in the past. */
    LIMIT_WATCHES_AGAIN = 16,

    /* NATS: the server's default max_control_line; the mapped line must fit too. Servers that allow
     * more do not say so: --nats-max-control-line does. Subject and reply of a MSG line come out of
     * one line, its sid out of another: together they stay below the next. */
    LIMIT_NATS_CONTROL_LINE = 4096,
    LIMIT_NATS_CONTROL_LINE_MAX = 32000,
    /* CONNECT and INFO lines, and all lines of the server: INFO of a large cluster is long, and a
     * MSG line holds a subject, a reply and a sid that came in different lines. */
    LIMIT_NATS_INFO_LINE = 64 * 1024,
    /* Subscriptions of one connection that need several upstream ones; each is remembered here. */
    LIMIT_NATS_MULTI_SUBS = 65536,
    /* One body of JetStream's API, request or answer, held whole because it is rewritten; also one
     * header block. The server's own answers stay below 1 MiB but for subjects of a large stream.
     */
    LIMIT_NATS_JS_BODY_BYTES = 8 * 1024 * 1024,
    /* A read of a descendant's stream that is kept until it is known whose that is, and such
     * streams that one connection remembers. */
    LIMIT_NATS_VIEW_BYTES = 16 * 1024,
    LIMIT_NATS_VIEW_STREAMS = 16,
    /* How long `gc` leaves a marked entry to the sidecars that watch it, ms. A watch tells them
     * within milliseconds; this is for machines that are busy. */
    LIMIT_GC_WAIT_MS = 3000,
    /* Requests to JetStream's API that one connection waits for; the oldest one is forgotten.
     * Clients wait for one, administration tools for a few. */
    LIMIT_NATS_JS_PENDING = 256,
    /* An error in the place of a publish's acknowledgement: two short names and a sentence. */
    LIMIT_NATS_PUB_ACK_BYTES = 4096,

    /* Servers that other servers name, besides the configured ones; clusters have 3 to 5 members.
     */
    LIMIT_NATS_LEARNT = 16,
    /* Of a server that names none. */
    LIMIT_NATS_PORT = 4222,

    /* HTTP/1.1 request head on the health listener and the client port. */
    LIMIT_HTTP1_HEAD_BYTES = 8 * 1024,
    /* HTTP/1.1 requests: the head, and the whole of it with its body, since the first byte, ms. The
     * API server gives a webhook 10 s at most. */
    LIMIT_WEB_HEAD_MS = 5000,
    LIMIT_WEB_REQUEST_MS = 10000,
    /* A connection that has not asked anything yet, TLS handshake included. Clients connect when
     * they have something to ask; a spare one of Go's pool is made anew. */
    LIMIT_WEB_FIRST_MS = 20000,
    /* How often connections that are slow or idle are looked for. */
    LIMIT_WEB_SWEEP_MS = 500,
    /* Bodies of all requests that are being read, bytes: eight of the largest reviews. */
    LIMIT_WEB_HELD_BYTES = 64 * 1024 * 1024,

    /* ms; a folder with a file that is watched must have been quiet for so long: a file is written
     * in pieces, and a volume of Kubernetes changes in steps. */
    LIMIT_FILE_QUIET_MS = 100,
    /* The configuration file; a full one is below 4 KiB. */
    LIMIT_CONFIG_BYTES = 256 * 1024,
    /* Lines of /connections and of /watches on the admin listener: 1 MB, and all of most pods. */
    LIMIT_PAGE_LINES = 10000,
    /* Connections on the health listener: probes and scrapers come one at a time. */
    LIMIT_HEALTH_CONNECTIONS = 32,
    /* A health connection that sends no request, or does not take its answer, is closed. */
    LIMIT_HEALTH_IDLE_MS = 10000,

    /* A connection that was told goodbye: how long its peer may take to close too. */
    LIMIT_LINGER_MS = 5000,
    /* The longest --drain-ms, --drain-quiet-ms and --timeout-ms: an hour, as long as any grace
     * period that makes sense. */
    LIMIT_DRAIN_MAX_MS = 3600 * 1000,
    /* NATS connections last; while draining, one that has been quiet for so long has had its say.
     */
    LIMIT_DRAIN_QUIET_MS = 200,
    /* How often draining looks whether everything is done. */
    LIMIT_DRAIN_TICK_MS = 10,
    /* Dial: give up one attempt; wait between attempts, doubling. */
    LIMIT_DIAL_MS = 5000,
    LIMIT_BACKOFF_MIN_MS = 50,
    LIMIT_BACKOFF_MAX_MS = 5000,
    /* An upstream that has gone without a word (its machine died): the kernel's probes begin after
     * so long a silence, and what was sent may stay unacknowledged so long. */
    LIMIT_UPSTREAM_SILENCE_MS = 20000,
    /* A server that is stopped still acknowledges bytes. While calls are open and nothing has come
     * from it for so long it is pinged (etcd allows one in 5 s), and has so long to answer; looked
     * at every LIMIT_UPSTREAM_LOOK_MS. */
    LIMIT_UPSTREAM_PING_MS = 10000,
    LIMIT_UPSTREAM_PONG_MS = 5000,
    LIMIT_UPSTREAM_LOOK_MS = 2500,
    /* A member that cannot reach the others is left for the next address, but not sooner after it
     * was chosen: the others may be no better. */
    LIMIT_UPSTREAM_DISTRUST_MS = 1000,
    /* Doubled with each round in which all were left: then the cluster has no leader, and streams
     * that move between its members, thousands perhaps, are load that helps nobody. */
    LIMIT_UPSTREAM_DISTRUST_MAX_MS = 16000,
    /* A client whose deadline is over cancels the call about then. */
    LIMIT_UPSTREAM_DEADLINE_SLACK_MS = 50,
    /* A call that waits shortens the wait between attempts to this. */
    LIMIT_BACKOFF_CALLED_MS = 250,
    /* Between the two GOAWAYs of a drain: requests that were on their way are still served. */
    LIMIT_GOAWAY_MS = 50,
};

#endif
