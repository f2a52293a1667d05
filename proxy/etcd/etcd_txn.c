/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_txn - Txn: compares and operations, nested.
 *
 * etcd bounds compares and operations along each path of nested Txns, not in total: at each level
 * the largest of the three lists counts, and what is left of the limit bounds the levels below
 * (v3rpc/key.go checkTxnRequest). Here the sum is made on the way out:
 *
 *   TxnRequest   ops(t) = max(compares, success, failure) + max over its operations o of ops(o)
 *   RequestOp    ops(o) = ops of the Txn in it, 0 for anything else
 *
 * A Txn that writes and reads at a revision is refused: on etcd 3.4 to 3.6 it can make members
 * diverge (design.md 4.3).
 */
#include "etcd/etcd_pass.h"
#include "limit.h"

enum { COMPARE = 1, SUCCESS = 2, FAILURE = 3 }; /* field numbers of TxnRequest's lists */
/* note[] of TxnRequest: [COMPARE], [SUCCESS], [FAILURE] count elements. Of it and of RequestOp: */
enum { NOTE_OPS_BELOW = 0 };

enum err etcd_pass_verdict(const struct etcd_pass *pass)
{
    if (pass->txn_ops > LIMIT_TXN_OPS)
        return ERR_TOO_MANY_OPS;
    if (pass->pending != ERR_OK)
        return pass->pending;
    return pass->writes && pass->reads_at_revision ? ERR_TXN_REVISION : ERR_OK;
}

static enum err count_element(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    (void)ctx;
    up->note[f->number]++;
    return ERR_OK;
}

static void raise(uint32_t *most, uint32_t n)
{
    if (*most < n)
        *most = n;
}

static enum err txn_begin(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    struct etcd_pass *pass = ctx;
    (void)f;
    etcd_op_is_set(up);
    if (up != NULL) /* then all of it is proposed, whatever it holds (etcd txn.IsTxnReadonly) */
        pass->needs_quorum = true;
    /* Each level but the innermost holds an operation, so deeper cannot be within the limit. */
    return ++pass->txn_levels > LIMIT_TXN_OPS + 1 ? ERR_TOO_MANY_OPS : ERR_OK;
}

static enum err txn_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    struct etcd_pass *pass = ctx;
    (void)out;
    uint32_t widest = f->note[COMPARE];
    raise(&widest, f->note[SUCCESS]);
    raise(&widest, f->note[FAILURE]);
    uint32_t ops = widest + f->note[NOTE_OPS_BELOW];
    pass->txn_levels--;
    if (up != NULL)
        raise(&up->note[NOTE_OPS_BELOW], ops);
    else
        pass->txn_ops = ops;
    return ERR_OK;
}

static enum err op_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    (void)out;
    raise(&up->note[NOTE_OPS_BELOW], f->note[NOTE_OPS_BELOW]);
    if (f->note[NOTE_OP_IS_SET] == 0)
        etcd_pass_fault(ctx, ERR_TXN_OP_UNSET);
    return ERR_OK;
}

static const struct pb_field compare_fields[] = {
    [3] = {.action = PB_MAP, .map = etcd_map_key},
    [8] = {.action = PB_NUMBER, .number = etcd_use_lease},
    [64] = {.action = PB_MAP, .droppable = true, .map = etcd_map_range_end},
};
static const struct pb_message compare = {compare_fields, ARRAY_LEN(compare_fields), count_element,
                                          etcd_need_key, false};

static const struct pb_field request_op_fields[] = {
    [1] = {.action = PB_MESSAGE, .sub = &etcd_range_request},
    [2] = {.action = PB_MESSAGE, .sub = &etcd_put_request},
    [3] = {.action = PB_MESSAGE, .sub = &etcd_delete_range_request},
    [4] = {.action = PB_MESSAGE, .sub = &etcd_txn_request},
};
/* Closed: a future kind of operation would carry keys that nobody mapped. */
static const struct pb_message request_op = {request_op_fields, ARRAY_LEN(request_op_fields),
                                             count_element, op_end, true};

static const struct pb_field txn_request_fields[] = {
    [COMPARE] = {.action = PB_MESSAGE, .sub = &compare},
    [SUCCESS] = {.action = PB_MESSAGE, .sub = &request_op},
    [FAILURE] = {.action = PB_MESSAGE, .sub = &request_op},
};
const struct pb_message etcd_txn_request = {txn_request_fields, ARRAY_LEN(txn_request_fields),
                                            txn_begin, txn_end, false};

static const struct pb_field response_op_fields[] = {
    [1] = {.action = PB_MESSAGE, .sub = &etcd_range_response},
    [2] = {.action = PB_MESSAGE, .sub = &etcd_put_response},
    [3] = {.action = PB_MESSAGE, .sub = &etcd_delete_range_response},
    [4] = {.action = PB_MESSAGE, .sub = &etcd_txn_response},
};
static const struct pb_message response_op = {response_op_fields, ARRAY_LEN(response_op_fields),
                                              NULL, NULL, true};

static const struct pb_field txn_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [3] = {.action = PB_MESSAGE, .sub = &response_op},
};
const struct pb_message etcd_txn_response = {txn_response_fields, ARRAY_LEN(txn_response_fields),
                                             NULL, NULL, false};
