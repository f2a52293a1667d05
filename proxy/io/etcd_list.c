/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_list - what goes on in the etcd plane, a line each, for the admin listener's pages. */
#include "io/etcd_stream.h"

#include "etcd/etcd_fields.h"
#include "etcd/etcd_watch_resume.h"

static const char *const protocols[] = {[H2_SERVER_SNIFFING] = "not yet known",
                                        [H2_SERVER_HTTP2] = "http2",
                                        [H2_SERVER_HTTP1] = "http1"};
static const char *const link_states[ETCD_LINK_STATES] = {[ETCD_LINK_IDLE] = "idle",
                                                          [ETCD_LINK_DIALLING] = "dialling",
                                                          [ETCD_LINK_USABLE] = "usable",
                                                          [ETCD_LINK_BACKOFF] = "backing off"};

static unsigned count_up(const struct h2_client *c)
{
    unsigned n = 0;
    for (const struct h2_up_stream *s = c == NULL ? NULL : c->streams; s != NULL; s = s->next)
        n++;
    return n;
}

static enum err list_link(const struct etcd_link *l, struct buf *out)
{
    const struct h2_client *c = l->current;
    return buf_printf(out, "plane=etcd side=up lane=%s peer=%s state=\"%s\" streams=%u\n", l->lane,
                      c == NULL ? "-" : c->authority, link_states[l->state], count_up(c));
}

enum err etcd_plane_list_connections(const struct etcd_plane *p, struct buf *out)
{
    unsigned lines = 0, left = 0;
    enum err e = list_link(&p->links[ETCD_LANE_UNARY], out);
    if (e == ERR_OK)
        e = list_link(&p->links[ETCD_LANE_STREAM], out);
    for (const struct h2_server *s = p->servers; s != NULL && e == ERR_OK; s = s->next) {
        char peer[ADDR_TEXT_BYTES];
        unsigned streams = 0;
        if (lines++ >= LIMIT_PAGE_LINES) {
            left++;
            continue;
        }
        for (const struct h2_app_stream *a = s->streams; a != NULL; a = a->next)
            streams++;
        e = buf_printf(out, "plane=etcd side=app peer=%s protocol=\"%s\" streams=%u\n",
                       tcp_peer(&s->conn.tcp, peer), protocols[s->state], streams);
    }
    return e != ERR_OK || left == 0 ? e : buf_printf(out, "and %u more\n", left);
}

/* In quotes, other bytes than visible ASCII as \xNN. */
static enum err append_quoted(struct span text, struct buf *out)
{
    enum err e = buf_append_byte(out, '"');
    for (size_t i = 0; i < text.n && e == ERR_OK; i++) {
        uint8_t c = text.p[i];
        bool is_plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\';
        e = is_plain ? buf_append_byte(out, c) : buf_printf(out, "\\x%02x", c);
    }
    return e == ERR_OK ? buf_append_byte(out, '"') : e;
}

/* Keys as the application knows them; of a watch on descendants, too, only that it is one. */
static enum err append_interval(const struct etcd_ns *ns, struct span create, struct buf *out)
{
    struct span stored = SPAN_NONE, key, end;
    if (!pb_find_bytes(create, RANGE_KEY, &stored) || !key_map_strip(&ns->keys, stored, &key))
        return buf_printf(out, " key=-");
    enum err e = buf_printf(out, " key=");
    if (e == ERR_OK)
        e = append_quoted(key, out);
    if (e != ERR_OK || !pb_find_bytes(create, RANGE_END, &stored))
        return e;
    if (!key_map_strip(&ns->keys, stored, &end)) /* the end of the slice */
        end = SPAN_LIT("\0");
    e = buf_printf(out, " range_end=");
    return e == ERR_OK ? append_quoted(end, out) : e;
}

struct listing {
    struct buf *out;
    unsigned lines, left;
};

static enum err list_stream(const struct etcd_stream *s, struct listing *l)
{
    struct etcd_watch_shown w;
    char peer[ADDR_TEXT_BYTES];
    enum err e = ERR_OK;
    (void)tcp_peer(&s->app.server->conn.tcp, peer);
    for (size_t i = 0; e == ERR_OK && etcd_watches_show(s->call.watches, i, &w); i++) {
        if (l->lines++ >= LIMIT_PAGE_LINES) {
            l->left++;
            continue;
        }
        e = buf_printf(l->out, "peer=%s stream=%d watch=%lld state=%s next=%lld view=%s", peer,
                       (int)s->app.id, (long long)w.id, w.is_live ? "live" : "asked for",
                       (long long)w.next, w.is_view ? "subtree" : "own");
        if (e == ERR_OK)
            e = append_interval(&s->plane->ns, w.create, l->out);
        if (e == ERR_OK)
            e = buf_append_byte(l->out, '\n');
    }
    return e;
}

enum err etcd_plane_list_watches(const struct etcd_plane *p, struct buf *out)
{
    struct listing l = {.out = out};
    enum err e = ERR_OK;
    for (const struct h2_server *s = p->servers; s != NULL && e == ERR_OK; s = s->next)
        for (struct h2_app_stream *a = s->streams; a != NULL && e == ERR_OK; a = a->next)
            e = list_stream(etcd_stream_of_app(a), &l);
    return e != ERR_OK || l.left == 0 ? e : buf_printf(out, "and %u more\n", l.left);
}
