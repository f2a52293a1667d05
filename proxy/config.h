/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - flags > BULKHEAD_* environment > JSON file > defaults (design.md 8.1), one schema.
 *
 * Pure but for reading the file: arguments and environment come in as values. Every option has one
 * row in config.def: flag, variable, JSON key, default, parser, help text, is it a secret; help,
 * `check`'s listing and the man page are made of the same rows. Unknown names are errors that say
 * the nearest known one.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/log.h"
#include "policy/ns_path.h"
#include "policy/subject_map.h"

enum { CONFIG_ADDRS_MAX = 16 };

enum config_view { VIEW_OWN, VIEW_SUBTREE };
enum config_profile { PROFILE_STRICT, PROFILE_TRUSTED };
/* Where a value came from, weakest first. */
enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct config_addrs {
    unsigned n;
    struct addr a[CONFIG_ADDRS_MAX];
};

struct config {
    struct ns_path ns;
    enum config_view view;
    enum config_profile profile;
    char key_root[65];      /* R, design.md 4.1; default "bh/" */
    char subject_root[33];  /* B, design.md 5.1; default "bh" */
    struct config_addrs etcd_upstream, etcd_listen; /* a plane without an upstream is off */
    struct config_addrs nats_upstream, nats_listen;
    struct config_addrs health_listen; /* at most one; default none */
    char nats_user[256], nats_password[256], nats_token[256]; /* secrets; from environment or file */
    struct span requests[SUBJECT_PATTERNS_MAX]; /* view.requests; borrow from text */
    unsigned request_patterns;
    unsigned max_connections;
    enum log_level log_level;
    enum log_format log_format;
    int ready_fd; /* -1 = none */
    bool help, version;
    char **command; /* `run`: borrows argv from after "--"; NULL otherwise */
    struct buf text; /* owns strings that spans above point to */
    struct buf error; /* after ERR_CONFIG: what, where, how to mend it; for people */
    struct buf effective; /* `check`: one line a value: name = value (source), secrets masked */
};

/* argv after the subcommand. env: NULL-terminated NAME=VALUE, as environ. For any error:
 * ERR_CONFIG and c->error. */
enum err config_load(struct config *c, int argc, char **argv, char **env) ATTR_MUST_USE;
void config_deinit(struct config *c);

#endif
