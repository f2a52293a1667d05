/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_lib.h"

#include <stddef.h>
#include <uv.h>

static const char soname[] = "libssl.so.3"; /* libcrypto comes with it */

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define FN(name) {#name, offsetof(struct tls_lib, name)},
#include "io/tls_lib.def"
#undef FN
};

/* What is missing, or NULL. */
static const char *bind_all(uv_lib_t *handle, struct tls_lib *lib)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *at;
        if (uv_dlsym(handle, functions[i].name, &at) != 0)
            return functions[i].name;
        memcpy((char *)lib + functions[i].offset, &at, sizeof at);
    }
    return NULL;
}

const struct tls_lib *tls_lib_load(struct buf *ret_error)
{
    static struct tls_lib
        lib; /* a library is the process's, as its mapping is, and is never closed */
    static bool is_loaded;
    if (is_loaded)
        return &lib;
    uv_lib_t handle;
    const char *missing = uv_dlopen(soname, &handle) != 0 ? soname : bind_all(&handle, &lib);
    if (missing == NULL && lib.OPENSSL_init_ssl(0, NULL) != 1)
        missing = "its configuration (openssl.cnf)";
    is_loaded = missing == NULL;
    if (is_loaded)
        return &lib;
    uv_dlclose(&handle);
    /* Without memory for the text the caller still has its error. */
    (void)!buf_printf(ret_error,
                      "TLS and NATS keys need OpenSSL 3 and %s cannot be loaded: install libssl3",
                      missing);
    return NULL;
}
