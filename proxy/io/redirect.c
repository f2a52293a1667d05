/* SPDX-License-Identifier: Apache-2.0 */
#include "io/redirect.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "io/redirect_rules.h"

static const char soname[] = "libnftables.so.1";

struct nft_lib {
    uv_lib_t handle;
    __typeof__(&nft_ctx_new) ctx_new;
    __typeof__(&nft_ctx_free) ctx_free;
    __typeof__(&nft_ctx_buffer_error) buffer_error;
    __typeof__(&nft_ctx_buffer_output) buffer_output;
    __typeof__(&nft_ctx_get_error_buffer) get_error;
    __typeof__(&nft_ctx_get_output_buffer) get_output;
    __typeof__(&nft_ctx_output_set_flags) set_flags;
    __typeof__(&nft_run_cmd_from_buffer) run;
};

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
    {"nft_ctx_new", offsetof(struct nft_lib, ctx_new)},
    {"nft_ctx_free", offsetof(struct nft_lib, ctx_free)},
    {"nft_ctx_buffer_error", offsetof(struct nft_lib, buffer_error)},
    {"nft_ctx_buffer_output", offsetof(struct nft_lib, buffer_output)},
    {"nft_ctx_get_error_buffer", offsetof(struct nft_lib, get_error)},
    {"nft_ctx_get_output_buffer", offsetof(struct nft_lib, get_output)},
    {"nft_ctx_output_set_flags", offsetof(struct nft_lib, set_flags)},
    {"nft_run_cmd_from_buffer", offsetof(struct nft_lib, run)},
};

static enum err fail(struct buf *error, const char *what, const char *why, const char *fix)
{
    enum err e = buf_printf(error, "redirect: %s%s%s; %s", what, *why == '\0' ? "" : ": ", why,
                            fix);
    return e == ERR_OK ? ERR_IO : e;
}

static enum err load(struct nft_lib *lib, struct buf *error)
{
    static const char fix[] = "install libnftables1";
    if (uv_dlopen(soname, &lib->handle) != 0)
        return fail(error, "cannot be loaded", uv_dlerror(&lib->handle), fix);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *at;
        if (uv_dlsym(&lib->handle, functions[i].name, &at) != 0)
            return fail(error, soname, functions[i].name, fix);
        memcpy((char *)lib + functions[i].offset, &at, sizeof at);
    }
    return ERR_OK;
}

/* ---- what must be there, asked before libnftables is: it ends the process where there is no
 * socket, and its texts name neither capabilities nor kernels ---- */

/* capabilities(7): the effective set decides. A program file with the capability permitted but not
 * effective can be run by a container that may not have it; so it is taken up here. */
static bool has_net_admin(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    const uint32_t bit = 1u << CAP_NET_ADMIN;
    if (syscall(SYS_capget, &head, data) != 0)
        return false; /* UNTESTED: refused for other processes only */
    if ((data[0].effective & bit) != 0)
        return true;
    data[0].effective |= bit;
    return (data[0].permitted & bit) != 0 && syscall(SYS_capset, &head, data) == 0;
}

static enum err check_kernel(struct buf *error)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0)
        return fail(error, "this kernel gives no way to netfilter", strerror(errno),
                    "run it on nodes with nf_tables, or use loopback, environment or host names "
                    "instead of redirection");
    close(fd);
    if (has_net_admin())
        return ERR_OK;
    return fail(error, "not allowed: the capability NET_ADMIN is missing", "",
                "give it to this container alone (securityContext.capabilities.add: [NET_ADMIN]), "
                "and to the program's file (setcap cap_net_admin+p) if the user is not root");
}

/* ---- the transaction ---- */

/* The first line of libnftables' answer; the others quote the rules. */
static void first_line(const char *text, char *to, size_t size)
{
    size_t n = strcspn(text, "\n");
    snprintf(to, size, "%.*s", (int)(n < size ? n : size - 1), text);
}

static enum err explain(const char *text, struct buf *error)
{
    static const char *const missing[] = {"not supported", "No such file", "not implemented"};
    char line[256];
    first_line(text, line, sizeof line);
    if (strstr(text, "not permitted") != NULL)
        return fail(error, "the kernel refuses", line,
                    "the capability NET_ADMIN must be that of this network namespace's owner");
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (strstr(text, missing[i]) != NULL)
            return fail(error, "the kernel cannot do it", line,
                        "it needs Linux 5.2 or later with nf_tables, nft_redir and nft_nat");
    return fail(error, "the rules are refused", line, "nothing was changed; see --dry-run");
}

/* One run of libnftables: a transaction, or a question whose answer is in the context. error NULL:
 * nobody asks why. ERR_NOMEM, ERR_IO. */
static enum err run_in(const struct nft_lib *lib, struct nft_ctx *ctx, struct span rules,
                       struct buf *error)
{
    struct buf text = {0};
    enum err e = buf_append(&text, rules);
    if (e == ERR_OK)
        e = buf_append_byte(&text, '\0');
    if (e == ERR_OK && lib->run(ctx, (const char *)buf_span(&text).p) != 0)
        e = error == NULL ? ERR_IO : explain(lib->get_error(ctx), error);
    buf_deinit(&text);
    return e;
}

static struct nft_ctx *open_context(const struct nft_lib *lib)
{
    struct nft_ctx *ctx = lib->ctx_new(NFT_CTX_DEFAULT);
    if (ctx != NULL && lib->buffer_error(ctx) == 0 && lib->buffer_output(ctx) == 0)
        return ctx;
    if (ctx != NULL)
        lib->ctx_free(ctx);
    return NULL;
}

static enum err run(const struct nft_lib *lib, struct span rules, struct buf *error)
{
    struct nft_ctx *ctx = open_context(lib);
    if (ctx == NULL)
        return ERR_NOMEM;
    enum err e = run_in(lib, ctx, rules, error);
    lib->ctx_free(ctx);
    return e;
}

enum present { PRESENT_NOT, PRESENT_SAME, PRESENT_OTHER };

/* What of the table is there; whatever is not understood is another one. */
static enum present look(const struct nft_lib *lib, struct span table)
{
    struct nft_ctx *ctx = open_context(lib);
    if (ctx == NULL)
        return PRESENT_OTHER;
    enum present found = PRESENT_NOT;
    lib->set_flags(ctx, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL);
    if (run_in(lib, ctx, SPAN_LIT("list table " REDIRECT_TABLE), NULL) == ERR_OK)
        found = redirect_rules_are_same(span_str(lib->get_output(ctx)), table) ? PRESENT_SAME
                                                                               : PRESENT_OTHER;
    lib->ctx_free(ctx);
    return found;
}

static enum err run_first(const struct nft_lib *lib, struct span table)
{
    struct buf text = {0};
    enum err e = buf_append(&text, SPAN_LIT("create table " REDIRECT_TABLE "\n"));
    if (e == ERR_OK)
        e = buf_append(&text, table);
    if (e == ERR_OK)
        e = run(lib, buf_span(&text), NULL);
    buf_deinit(&text);
    return e;
}

/* What a transaction deletes costs a grace period of the kernel (some 10 ms, in the close of the
 * socket), and so does one that fails: a pod's first installation deletes nothing, and one that
 * finds the same rules does nothing. */
enum err redirect_install(struct span table, struct span rules, struct buf *error)
{
    static struct nft_lib lib;
    enum err e = check_kernel(error);
    if (e == ERR_OK)
        e = load(&lib, error);
    if (e != ERR_OK)
        return e;
    enum present present = table.n == 0 ? PRESENT_OTHER : look(&lib, table);
    if (present == PRESENT_SAME || (present == PRESENT_NOT && run_first(&lib, table) == ERR_OK))
        return ERR_OK;
    return run(&lib, rules, error);
}
