/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - flags > BULKHEAD_* environment > JSON file > defaults (design.md 8.1), one schema.
 *
 * Pure: arguments, environment and the way to read a file come in as values. Every option has one
 * row in config.def; help, `check`'s listing and the documents are made of the same rows. Unknown
 * names are errors that say the nearest known one.
 *
 * An environment variable that is set to nothing counts as not set. A list from a stronger source
 * replaces a weaker one's, it does not add to it.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/log.h"
#include "etcd/etcd_rules.h"
#include "policy/ns_path.h"
#include "policy/subject_map.h"

enum {
    CONFIG_ADDRS_MAX = 16,
    CONFIG_KEYS_MAX = 16,
    CONFIG_OPTIONS_MAX = 96,
    CONFIG_ERROR_BYTES = 1024,
    CONFIG_PORTS_MAX = 16,
    CONFIG_UIDS_MAX = 8,
    CONFIG_NETS_MAX = 16
};

enum config_command {
    COMMAND_SERVE = 1,
    COMMAND_RUN = 2,
    COMMAND_CHECK = 4,
    COMMAND_HEALTH = 8,
    COMMAND_WAIT = 16,
    COMMAND_DRAIN = 32,
    COMMAND_REDIRECT = 64,
    COMMAND_GC = 128
};
enum config_view { VIEW_OWN, VIEW_SUBTREE };
/* Where a value came from, weakest first. */
enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct config_addrs {
    unsigned n;
    struct addr a[CONFIG_ADDRS_MAX];
};

struct config_ports {
    unsigned n;
    uint16_t p[CONFIG_PORTS_MAX];
};

/* What `redirect` installs, besides the ports (docs/redirect.md). */
struct config_redirect {
    uint32_t uids[CONFIG_UIDS_MAX + 1]; /* exempt; the sidecar's is the first */
    unsigned uid_count;
    bool enforce, verify, dry_run, remove;
    struct config_ports enforce_ports;
    unsigned net_count;
    char nets[CONFIG_NETS_MAX][64]; /* "10.0.0.0/8", "fd00::1"; checked */
};

/* TLS of one plane; paths of PEM files, "" = not set. */
struct config_tls {
    char ca[256], cert[256], key[256], server_name[256]; /* towards the servers */
    /* Towards applications; listen_ca: who signs theirs. */
    char listen_cert[256], listen_key[256], listen_ca[256];
};

/* Patterns; the spans borrow the configuration's text. */
struct config_patterns {
    unsigned n;
    struct span item[SUBJECT_PATTERNS_MAX];
};

struct config_input {
    enum config_command command;
    int argc; /* argv after the subcommand; borrowed, c->command keeps borrowing it */
    char **argv;
    char **env; /* NULL-terminated NAME=VALUE, as environ */
    /* Appends the file's bytes. ERR_CONFIG with *ret_why = why it cannot be read. */
    enum err (*read_file)(const char *path, struct buf *out, const char **ret_why);
};

/* About 70 KiB: keep it static. */
struct config {
    struct config_input input;           /* what it was loaded from; borrows argv and env */
    const char *file;                    /* of --config, borrowed from there; NULL: none */
    uint64_t values[CONFIG_OPTIONS_MAX]; /* a hash of what each option was set to */
    struct ns_path ns;
    enum config_view etcd_view, nats_view;
    struct etcd_rules etcd_rules;                   /* profile, compact, status, credentials */
    char key_root[65];                              /* R, design.md 4.1; default "bh/" */
    char subject_root[33];                          /* B, design.md 5.1; default "bh" */
    struct config_addrs etcd_upstream, etcd_listen; /* a plane without an upstream is off */
    struct config_addrs nats_upstream, nats_listen;
    /* What it says is also in the upstreams' schemes: who is to be spoken TLS to has https or tls.
     */
    struct config_tls etcd_tls, nats_tls;
    unsigned nats_control_line;                 /* the NATS servers' max_control_line, bytes */
    struct config_addrs health_listen;          /* at most one; default none */
    struct config_addrs admin_listen;           /* the same; loopback or a unix socket */
    struct config_addrs intercept_listen;       /* loopback, one port; default none */
    struct config_ports etcd_ports, nats_ports; /* no port is in both */
    struct config_redirect redirect;
    char etcd_user[256], etcd_password[256];                  /* the last is a secret */
    char nats_user[256], nats_password[256], nats_token[256]; /* the last two are secrets */
    char nats_password_file[256], nats_token_file[256], nats_creds[256]; /* paths */
    struct config_patterns requests, events; /* view.requests, view.events */
    struct config_patterns streams;          /* view.streams */
    struct span view_keys[CONFIG_KEYS_MAX]; /* view.keys, prefixes of etcd keys; borrow from text */
    unsigned view_key_prefixes;
    struct span subject, stream; /* `check`: likewise */
    struct span key; /* `check`: the etcd key to explain; borrows from text; empty = none */
    unsigned max_connections;
    bool drain_is_classic; /* else native (design.md 7.5) */
    bool nats_tls_first;   /* TLS stands before the server's INFO */
    unsigned drain_ms, drain_quiet_ms;
    unsigned timeout_ms; /* of `wait` */
    enum log_level log_level;
    enum log_format log_format;
    int ready_fd;            /* -1 = none */
    bool keep_dyn_namespace; /* `run` leaves DYN_NAMESPACE as it is (design.md 2.7) */
    bool live;               /* `health` asks /livez */
    bool stores;             /* `wait` asks /readyz */
    bool help, version;      /* nothing else was loaded */
    char **command;          /* `run`: borrows argv from after "--"; NULL otherwise */
    struct buf text;         /* owns strings that spans above point to */
    struct buf effective;    /* `check`, `serve`, `run`: one line a value: name = value (source),
                                secrets masked */
    char error[CONFIG_ERROR_BYTES]; /* after ERR_CONFIG: what, where, how to mend it; for people */
};

/* ERR_CONFIG with c->error, ERR_NOMEM. Call config_deinit in any case. */
enum err config_load(struct config *c, const struct config_input *in) ATTR_MUST_USE;
void config_deinit(struct config *c);
/* Load once more what c was loaded from, for a process that runs on (design.md 8.1). ERR_CONFIG
 * with next->error also where an option differs that needs a restart. config_deinit(next) in any
 * case. */
enum err config_reload(const struct config *c, struct config *next) ATTR_MUST_USE;

/* What main passes as read_file: a regular file of at most LIMIT_CONFIG_BYTES. */
enum err config_read_file(const char *path, struct buf *out, const char **ret_why) ATTR_MUST_USE;

/* The options that the command takes, set for a terminal of 80 columns. */
enum err config_help(enum config_command command, struct buf *out) ATTR_MUST_USE;
/* "--health-listen"-like names for main's own errors: the nearest of n known names. */
const char *config_nearest(struct span name, const char *const *known, size_t n);

#endif
