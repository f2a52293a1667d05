/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_option - the schema as a table, and a configuration while it is being loaded. Private to
 * config*.c.
 *
 *   config_flags   command line  ┐
 *   config_env     environment   ├─> config_take(): the strongest source wins ─> config_set ─>
 * config config_file    JSON          │ config.def     defaults      ┘
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "config.h"

enum option {
#define OPTION(id, name, env, value, fallback, commands, traits, set, help) OPTION_##id,
#include "config.def"
#undef OPTION
    OPTION_COUNT
};

enum option_trait {
    TRAIT_LIST = 1,     /* several values: repeated flags, comma-separated text, a JSON array */
    TRAIT_ADDRS = 2,    /* addresses, whose user part is never shown */
    TRAIT_SECRET = 4,   /* never shown at all */
    TRAIT_NUMBER = 8,   /* a JSON number */
    TRAIT_SWITCH = 16,  /* a flag without a value; nothing else */
    TRAIT_NO_FILE = 32, /* not a key of the file */
    TRAIT_RELOADS = 64  /* another value is taken without a restart (config_reload) */
};

enum { OPTION_ITEMS_MAX = SUBJECT_PATTERNS_MAX };

/* The value of one option, as text, before anyone has looked at it. */
struct option_value {
    bool is_set;
    enum config_source source;
    const char *variable; /* SOURCE_ENVIRONMENT: its name */
    unsigned n;
    struct span item[OPTION_ITEMS_MAX]; /* borrow from argv, env, the file's JSON or number */
    char number[24];                    /* a JSON number as text */
};

struct config_loader {
    struct config *c;
    const struct config_input *in;
    const char *file; /* path of the configuration file, NULL if none */
    char separator;
    struct option_value value[OPTION_COUNT];
};

typedef enum err (*option_set_fn)(struct config_loader *l, enum option o);

struct option_row {
    const char *name, *env, *value, *fallback;
    unsigned commands, traits;
    const char *help;
};

extern const struct option_row option_table[OPTION_COUNT];

/* config_flags.c, config_env.c, config_file.c: each takes what its source says. */
enum err config_take_flags(struct config_loader *l) ATTR_MUST_USE;
enum err config_take_env(struct config_loader *l) ATTR_MUST_USE;
/* DYNAMO_NAMESPACE and DYN_NAMESPACE (design.md 2.4): weaker than the file. */
enum err config_take_dynamo(struct config_loader *l) ATTR_MUST_USE;
enum err config_take_file(struct config_loader *l, struct span json,
                          void **ret_document) ATTR_MUST_USE;
void config_file_free(void *document);

/* Where text comes from. */
struct option_origin {
    enum config_source source;
    const char *variable;
};
/* Adds text to o's value: split at commas if o is a list and `split` says so. Ignored if a stronger
 * source spoke before. text lives as long as the loader. */
enum err config_take(struct config_loader *l, enum option o, struct option_origin origin,
                     struct span text, bool split) ATTR_MUST_USE;

/* config_set.c: all values into l->c, then what must fit together. */
enum err config_set_all(struct config_loader *l) ATTR_MUST_USE;

/* item as a C string; to has room for size bytes with the NUL. */
enum err config_set_text(struct config_loader *l, enum option o, char *to, size_t size);
/* config_tls.c: setters, and what must fit together. */
enum err config_set_tls(struct config_loader *l, enum option o);
enum err config_set_nats_tls(struct config_loader *l, enum option o);
enum err config_set_control_line(struct config_loader *l, enum option o);
enum err config_check_tls(struct config_loader *l);
/* config_pod.c: setters of what a pod needs, and what must fit together. */
enum err config_set_intercept_listen(struct config_loader *l, enum option o);
enum err config_set_ports(struct config_loader *l, enum option o);
enum err config_set_uids(struct config_loader *l, enum option o);
enum err config_set_enforce_to(struct config_loader *l, enum option o);
enum err config_set_admin_listen(struct config_loader *l, enum option o);
enum err config_set_drain_mode(struct config_loader *l, enum option o);
enum err config_set_drain_ms(struct config_loader *l, enum option o);
enum err config_set_timeout_ms(struct config_loader *l, enum option o);
enum err config_check_ports(struct config_loader *l);
enum err config_check_redirect(struct config_loader *l);
/* Is host a loopback address or "localhost"? */
bool config_is_loopback(const char *host);

/* config_reload.c: what config_reload() compares. */
void config_note_values(struct config_loader *l);

/* config_text.c */
/* Where a value came from, as the person wrote it: --view, BULKHEAD_VIEW, file.json: "view". */
const char *config_origin(const struct config_loader *l, enum option o, char *text, size_t size);
/* item for people: quoted, cut, unprintable bytes as \xNN, user parts and secrets masked. */
const char *config_quote(struct span item, unsigned traits, char *text, size_t size);
/* Write c->error; always ERR_CONFIG. */
enum err config_fail(struct config_loader *l, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* c->error = <origin> "<item>": <rule>; always ERR_CONFIG. */
enum err config_fail_item(struct config_loader *l, enum option o, struct span item,
                          const char *rule);
/* Fills l->c->effective. */
enum err config_list_effective(struct config_loader *l) ATTR_MUST_USE;
/* Option with this name (flag or key), or OPTION_COUNT. */
enum option config_find(struct span name);
/* Nearest option name by edit distance, among those whose commands include one of `commands` or
 * that may stand in the file (commands == 0). */
const char *config_nearest_option(struct span name, unsigned commands);

#endif
