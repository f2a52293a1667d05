/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, LIMITERS = 64 };

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

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

static void put(struct line *l, char c)
{
    if (l->n < sizeof l->text - 2) /* room for the newline stays */
        l->text[l->n++] = c;
}

static void put_str(struct line *l, const char *s)
{
    for (; *s != '\0'; s++)
        put(l, *s);
}

static void put_quoted(struct line *l, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    put(l, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            put(l, '\\');
            put(l, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            put_str(l, "\\u00");
            put(l, hex[c >> 4]);
            put(l, hex[c & 15]);
        } else {
            put(l, (char)c);
        }
    }
    put(l, '"');
}

static bool is_bare(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
            return false;
    return true;
}

static void put_field(struct line *l, const char *name, const char *value)
{
    bool json = log_state.format == LOG_JSON;
    if (json) {
        put(l, l->n == 0 ? '{' : ',');
        put_quoted(l, name);
        put(l, ':');
    } else {
        if (l->n != 0)
            put(l, ' ');
        put_str(l, name);
        put(l, '=');
    }
    if (!json && is_bare(value))
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
        put(l, '}');
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
