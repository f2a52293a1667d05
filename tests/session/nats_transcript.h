/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_transcript - what was said and what had to be heard, run against a nats_session in every
 * cut.
 *
 * A transcript is a list of steps: APP("…") and UP("…") are bytes from a side; APP_HEARS("…") and
 * UP_HEARS("…") compare with all that side was told since the last time;
 * HEARD_ASIDE("…") with what the session's voice would say. At the end nothing may be
 * left unheard. Each transcript runs with its bytes whole, one by one, and randomly cut.
 */
#ifndef TESTS_SESSION_NATS_TRANSCRIPT_H
#define TESTS_SESSION_NATS_TRANSCRIPT_H

#include "support/support.h"

#include "nats/nats_session.h"

enum step_kind { SAYS, HEARS, ASIDE, LOST };

struct step {
    enum step_kind kind;
    enum nats_side side;
    struct span bytes;
    enum err error; /* SAYS: what feed must return; LOST: why */
};

#define APP(s)                                                                                     \
    {                                                                                              \
        SAYS, SIDE_APP, SPAN_LIT(s), ERR_OK                                                        \
    }
#define UP(s)                                                                                      \
    {                                                                                              \
        SAYS, SIDE_UP, SPAN_LIT(s), ERR_OK                                                         \
    }
#define APP_FAILS(s, e)                                                                            \
    {                                                                                              \
        SAYS, SIDE_APP, SPAN_LIT(s), e                                                             \
    }
#define UP_FAILS(s, e)                                                                             \
    {                                                                                              \
        SAYS, SIDE_UP, SPAN_LIT(s), e                                                              \
    }
#define APP_HEARS(s)                                                                               \
    {                                                                                              \
        HEARS, SIDE_APP, SPAN_LIT(s), ERR_OK                                                       \
    }
#define UP_HEARS(s)                                                                                \
    {                                                                                              \
        HEARS, SIDE_UP, SPAN_LIT(s), ERR_OK                                                        \
    }

#define HEARD_ASIDE(s)                                                                             \
    {                                                                                              \
        ASIDE, SIDE_UP, SPAN_LIT(s), ERR_OK                                                        \
    }

/* Most transcripts begin with these two steps and what is heard of them. */
#define INFO_SENT                                                                                  \
    "INFO {\"server_id\":\"N\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1048576} "  \
    "\r\n"
#define INFO_SEEN                                                                                  \
    "INFO {\"server_id\":\"N\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1048576,"   \
    "\"host\":\"127.0.0.1\",\"port\":4222}\r\n"
#define HELLO                                                                                      \
    UP(INFO_SENT), APP_HEARS(INFO_SEEN), APP("CONNECT {\"verbose\":false,\"headers\":true}\r\n"),  \
        UP_HEARS("CONNECT {\"verbose\":false,\"headers\":true}\r\n")
#define HELLO_VERBOSE                                                                              \
    UP(INFO_SENT), APP_HEARS(INFO_SEEN), APP("CONNECT {\"verbose\":true}\r\n"),                    \
        UP_HEARS("CONNECT {\"verbose\":true}\r\n"), UP("+OK\r\n"), APP_HEARS("+OK\r\n")

struct stage {
    struct nats_ns ns;
    struct counters counters;
    struct nats_session *session;
    struct buf heard[SIDES];
    struct buf aside; /* what its voice has to say */
};

static inline void stage_open(struct stage *t, const char *path)
{
    *t = (struct stage){.ns = {.host = "127.0.0.1", .port = 4222}};
    t->ns.counters = &t->counters;
    struct ns_path ns;
    assert_int_equal(ns_path_parse(span_str(path), '/', &ns, NULL), ERR_OK);
    js_names_init(&t->ns.names, &ns);
    assert_int_equal(subject_map_init(&t->ns.map, SPAN_LIT("bh"), &ns, subject_map_default_requests,
                                      ARRAY_LEN(subject_map_default_requests)),
                     ERR_OK);
}

/* The same in view subtree. */
static inline void stage_open_view(struct stage *t, const char *path)
{
    stage_open(t, path);
    assert_int_equal(subject_map_see_below(&t->ns.map, subject_map_default_events,
                                           ARRAY_LEN(subject_map_default_events)),
                     ERR_OK);
}

/* View own as the sidecar has it: members with view subtree make push consumers. */
static inline void stage_open_own(struct stage *t, const char *path)
{
    stage_open(t, path);
    assert_int_equal(subject_map_hear_deliveries(&t->ns.map, subject_map_default_events,
                                                 ARRAY_LEN(subject_map_default_events)),
                     ERR_OK);
}

static inline void stage_close(struct stage *t)
{
    nats_session_free(&t->session);
    for (int side = 0; side < SIDES; side++)
        buf_deinit(&t->heard[side]);
    buf_deinit(&t->aside);
}

/* Take what the session has to say, as io would. */
static inline void stage_listen(struct stage *t)
{
    for (int side = 0; side < SIDES; side++) {
        struct buf *out = nats_session_out(t->session, (enum nats_side)side);
        assert_int_equal(buf_append(&t->heard[side], buf_span(out)), ERR_OK);
        buf_consume(out, buf_len(out));
        buf_trim(out);
    }
    struct buf *aside = nats_session_aside(t->session);
    if (aside == NULL)
        return;
    assert_int_equal(buf_append(&t->aside, buf_span(aside)), ERR_OK);
    buf_deinit(aside);
}

/* One piece of one side's bytes; all of it, as output is taken whenever the session waits for it.
 */
static inline enum err stage_say(struct stage *t, enum nats_side side, struct span piece)
{
    while (piece.n != 0) {
        size_t used = 0;
        enum err e = nats_session_feed(t->session, side, piece, &used);
        assert_true(used <= piece.n);
        piece = span_skip(piece, used);
        stage_listen(t);
        if (e != ERR_OK || nats_session_is_closing(t->session))
            return e;
        assert_true(piece.n == 0 || used != 0);
    }
    return ERR_OK;
}

/* cut: 0 = whole, 1 = byte by byte, else at random. */
static inline void stage_step(struct stage *t, const struct step *step, unsigned cut,
                              struct rng *rng)
{
    enum err e = ERR_OK;
    struct span rest = step->bytes;
    switch (step->kind) {
    case SAYS:
        while (rest.n != 0 && e == ERR_OK) {
            size_t n = cut == 0 ? rest.n : cut == 1 ? 1 : 1 + rng_below(rng, rest.n);
            e = stage_say(t, step->side, span_head(rest, n));
            rest = span_skip(rest, n < rest.n ? n : rest.n);
        }
        assert_int_equal(e, step->error);
        assert_int_equal(nats_session_is_closing(t->session), e != ERR_OK);
        break;
    case HEARS:
        assert_span_equal(buf_span(&t->heard[step->side]), step->bytes);
        buf_consume(&t->heard[step->side], step->bytes.n);
        break;
    case ASIDE:
        assert_span_equal(buf_span(&t->aside), step->bytes);
        buf_consume(&t->aside, step->bytes.n);
        break;
    case LOST:
        nats_session_lost(t->session, step->side, step->error);
        stage_listen(t);
        assert_true(nats_session_is_closing(t->session));
        break;
    }
}

/* A transcript in every cut; t is open and stays so. */
static inline void stage_play(struct stage *t, const struct step *steps, size_t n)
{
    struct rng rng = {n};
    for (unsigned cut = 0; cut < 12; cut++) {
        assert_int_equal(nats_session_new(&t->ns, &t->session), ERR_OK);
        for (size_t i = 0; i < n; i++)
            stage_step(t, &steps[i], cut, &rng);
        for (int side = 0; side < SIDES; side++)
            assert_span_equal(buf_span(&t->heard[side]), SPAN_NONE);
        assert_span_equal(buf_span(&t->aside), SPAN_NONE);
        nats_session_free(&t->session);
    }
}

#define PLAY(path, ...)                                                                            \
    do {                                                                                           \
        static const struct step play_steps[] = {__VA_ARGS__};                                     \
        struct stage stage;                                                                        \
        stage_open(&stage, path);                                                                  \
        stage_play(&stage, play_steps, ARRAY_LEN(play_steps));                                     \
        stage_close(&stage);                                                                       \
    } while (0)

#define PLAY_VIEW(path, ...) PLAY_IN(stage_open_view, path, __VA_ARGS__)
#define PLAY_OWN(path, ...)  PLAY_IN(stage_open_own, path, __VA_ARGS__)
#define PLAY_IN(open_stage, path, ...)                                                             \
    do {                                                                                           \
        static const struct step play_steps[] = {__VA_ARGS__};                                     \
        struct stage stage;                                                                        \
        open_stage(&stage, path);                                                                  \
        stage_play(&stage, play_steps, ARRAY_LEN(play_steps));                                     \
        stage_close(&stage);                                                                       \
    } while (0)

#endif
