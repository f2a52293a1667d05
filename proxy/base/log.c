/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES = 2048,
    LINE_END_BYTES = 3, /* a closing quote, a closing brace, the LF */
    LIMITERS = 64,
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
    enum log_level level;
    enum log_format format;
    struct limiter {
        const char *msg;
        int64_t since_ms;
        unsigned lines, left_out;
    } limiter[LIMITERS];
} log_state = {.level = LOG_INFO};

struct line {
    char text[LINE_BYTES];
    size_t n;
    bool full; /* something was left out */
};

void log_set(enum log_level level, enum log_format format)
{
    log_state.level = level;
    log_state.format = format;
}

bool log_is_on(enum log_level level)
{
    return level <= log_state.level;
}

const char *log_level_name(void)
{
    return level_names[log_state.level];
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

/* All of it or, once something did not fit, nothing more: a cut line still parses. */
static void put(struct line *l, const char *p, size_t n)
{
    l->full = l->full || l->n + n > LINE_BYTES - LINE_END_BYTES;
    if (l->full)
        return;
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Bytes of the UTF-8 sequence at s, a string; 0 = it is none. Source: RFC 3629, section 4. */
static size_t utf8_bytes(const unsigned char *s)
{
    unsigned char low = 0x80, high = 0xbf; /* of the second byte */
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] > 0xf4)
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (n > 1 && (s[1] < low || s[1] > high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

static void put_quoted(struct line *l, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    while (*s != '\0') {
        unsigned char c = (unsigned char)*s;
        size_t n = utf8_bytes((const unsigned char *)s);
        if (c == '"' || c == '\\') {
            const char escape[] = {'\\', (char)c};
            put(l, escape, sizeof escape);
        } else if (n == 0 || c < 0x20 || c == 0x7f) {
            const char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            put(l, escape, sizeof escape);
        } else {
            put(l, s, n);
        }
        s += n == 0 ? 1 : n;
    }
    l->text[l->n++] = '"'; /* room for it was kept */
}

static bool is_bare(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' ||
            (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

/* name is one of ours: nothing in it to escape. */
static void put_field(struct line *l, const char *name, const char *value)
{
    bool json = log_state.format == LOG_JSON, bare = !json && is_bare(value);
    char head[64];
    int n = snprintf(head, sizeof head,
                     json   ? "%s\"%s\":\""
                     : bare ? "%s%s="
                            : "%s%s=\"",
                     json ? (l->n == 0 ? "{" : ",") : (l->n == 0 ? "" : " "), name);
    if (n < 0 || (size_t)n >= sizeof head)
        return;
    put(l, head, (size_t)n);
    if (l->full)
        return;
    if (bare)
        put_str(l, value);
    else
        put_quoted(l, value);
}

static int64_t clock_ms(struct timespec *ret_wall)
{
    struct timespec mono;
    clock_gettime(CLOCK_REALTIME, ret_wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (int64_t)mono.tv_sec * 1000 + mono.tv_nsec / 1000000;
}

/* True if this line may be written; *ret_left_out = lines that were not, since the last one. */
static bool limit(const char *msg, int64_t now_ms, unsigned *ret_left_out)
{
    struct limiter *r = &log_state.limiter[((uintptr_t)msg >> 3) % LIMITERS];
    *ret_left_out = 0;
    if (r->msg != msg || now_ms - r->since_ms >= LOG_PERIOD_MS) {
        *ret_left_out = r->msg == msg ? r->left_out : 0;
        *r = (struct limiter){.msg = msg, .since_ms = now_ms};
    }
    if (r->lines >= LOG_BURST) {
        r->left_out++;
        return false;
    }
    r->lines++;
    return true;
}

static void write_line(struct line *l)
{
    if (log_state.format == LOG_JSON)
        l->text[l->n++] = '}';
    l->text[l->n++] = '\n';
    size_t done = 0;
    while (done < l->n) {
        ssize_t w = write(STDERR_FILENO, l->text + done, l->n - done);
        if (w <= 0)
            return; /* a log that cannot be written must not stop the work */
        done += (size_t)w;
    }
}

void log_event(enum log_level level, const char *msg, ...)
{
    if (!log_is_on(level))
        return;
    struct timespec now;
    unsigned left_out;
    if (!limit(msg, clock_ms(&now), &left_out))
        return;

    struct line l = {.n = 0};
    struct tm tm;
    char stamp[40], ms[48];
    unsigned milli = (unsigned)(now.tv_nsec / 1000000) % 1000;
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ms, sizeof ms, "%.39s.%03uZ", stamp, milli);
    put_field(&l, "time", ms);
    put_field(&l, "level", level_names[level]);
    put_field(&l, "msg", msg);
    va_list args;
    va_start(args, msg);
    for (const char *name = va_arg(args, const char *); name != NULL;
         name = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        put_field(&l, name, value == NULL ? "" : value);
    }
    va_end(args);
    if (left_out != 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", left_out);
        put_field(&l, "left_out", text);
    }
    write_line(&l);
}
