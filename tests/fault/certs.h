/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certs - authorities and certificates in a directory of the test's own, made by the openssl
 * program: another hand than the one that reads them.
 */
#ifndef TESTS_FAULT_CERTS_H
#define TESTS_FAULT_CERTS_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "support/support.h"

enum { CERTS_PATH_BYTES = 96 };

struct certs {
    char dir[64];
};

static inline void certs_run(const struct certs *c, const char *fmt, ...) ATTR_PRINTF(2, 3);
static inline void certs_run(const struct certs *c, const char *fmt, ...)
{
    char what[700], command[900];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && (%s) >>log 2>&1", c->dir, what);
    if (system(command) != 0) /* what it said is in the log */
        fail_msg("failed: %s", command);
}

static inline const char *certs_path(const struct certs *c, const char *name,
                                     char path[CERTS_PATH_BYTES])
{
    snprintf(path, CERTS_PATH_BYTES, "%s/%s", c->dir, name);
    return path;
}

/* name.pem and name.key: an authority. */
static inline void certs_authority(const struct certs *c, const char *name)
{
    certs_run(c,
              "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
              "-keyout %s.key -out %s.pem -subj /CN=%s",
              name, name, name);
}

/* name.pem and name.key, signed by authority, for names like "IP:127.0.0.1,DNS:localhost". days
 * below 0: expired. */
static inline void certs_make(const struct certs *c, const char *name, const char *authority,
                              const char *names, int days)
{
    certs_run(c,
              "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key "
              "-out %s.csr -subj /CN=%s && printf 'subjectAltName=%s\\n' >%s.ext && "
              "openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days %d "
              "-extfile %s.ext -out %s.new && mv %s.new %s.pem",
              name, name, name, names, name, name, authority, authority, days, name, name, name,
              name);
}

/* ca signs server, expired, elsewhere (for another name) and client; other is nobody's. */
static inline void certs_open(struct certs *c)
{
    snprintf(c->dir, sizeof c->dir, "/tmp/bulkhead-certs-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    certs_authority(c, "ca");
    certs_authority(c, "other");
    certs_make(c, "server", "ca", "IP:127.0.0.1,DNS:localhost", 2);
    certs_make(c, "expired", "ca", "IP:127.0.0.1,DNS:localhost", -1);
    certs_make(c, "elsewhere", "ca", "IP:127.0.0.2,DNS:elsewhere", 2);
    certs_make(c, "client", "ca", "DNS:client", 2);
}

static inline int certs_remove_entry(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void certs_close(struct certs *c)
{
    nftw(c->dir, certs_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
