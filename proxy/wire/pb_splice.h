/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_splice - rewrite some fields of a protobuf message and copy all other bytes as they are.
 *
 * A message is described by the fields that matter; whatever is not listed (unknown and future
 * fields, order, odd but legal encodings) passes byte for byte (design.md 3.4). One walk, no
 * recursion, no allocation but the output's.
 *
 *   append:    in  ──────────────> out, a buf; a message may grow
 *   in place:  [ written | gap | not read yet ]   the writer never overtakes the reader, so a large
 *              answer is held once; a message may only shrink
 *   arrived:   in place, the whole fields of a beginning of the message: what is rewritten as it
 *              arrives is still in a near cache
 *
 * Length prefixes of enclosing messages are mended when their message ends.
 *
 * Laws. A message without a change comes out as the same bytes. What does not parse strictly
 * (wire/pb_wire.h, a listed field with the wrong wire type, nesting over LIMIT_PB_DEPTH) is
 * ERR_PB_MALFORMED. Every occurrence of a listed field is rewritten, so it does not matter which of
 * several a decoder takes; "last one counts" is the hooks' business, through pb_frame.note.
 */
#ifndef WIRE_PB_SPLICE_H
#define WIRE_PB_SPLICE_H

#include "base/buf.h"

struct pb_message;

enum { PB_NOTES = 4 };

/* One message being walked. Hooks may use note[], which starts as zeros for every occurrence. */
struct pb_frame {
    const struct pb_message *m;
    const uint8_t *start; /* its tag, as read */
    const uint8_t *end;   /* of the content read */
    size_t element_at;    /* output offset of its tag */
    size_t body_at;       /* output offset of its content */
    size_t read_n;        /* bytes of content read */
    uint32_t number;      /* field number within the enclosing message; 0: outermost */
    uint8_t length_n;     /* bytes its length prefix takes in the output */
    bool droppable;
    uint32_t note[PB_NOTES];
};

/*
 * Hooks return ERR_OK; ERR_FOREIGN: the value lies outside the slice, and the nearest droppable
 * element around it (the field itself, else an enclosing message) is left out; any other error ends
 * the walk. ERR_FOREIGN without a droppable element ends it too.
 */
/* Append the new content. */
typedef enum err (*pb_map_fn)(void *ctx, struct pb_frame *f, struct span value, struct buf *out);
/* *ret_rest is a tail of value. */
typedef enum err (*pb_strip_fn)(void *ctx, struct pb_frame *f, struct span value,
                                struct span *ret_rest);
/* *ret_v: in place, its encoding must not be longer than that of v. */
typedef enum err (*pb_number_fn)(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v);
/* Look only. */
typedef enum err (*pb_peek_fn)(void *ctx, struct pb_frame *f, struct span value);
/* up: the enclosing message, NULL for the outermost. */
typedef enum err (*pb_begin_fn)(void *ctx, struct pb_frame *f, struct pb_frame *up);
/* May append whole fields to out, which is NULL in place. Not called for a dropped message. */
typedef enum err (*pb_end_fn)(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out);

enum pb_action {
    PB_COPY,    /* not listed */
    PB_KEEP,    /* listed, copied: for messages that are closed */
    PB_MESSAGE, /* walk into sub */
    PB_MAP,     /* bytes, append only; a droppable one that is foreign is left out */
    PB_STRIP,   /* bytes */
    PB_NUMBER,  /* varint */
    PB_PEEK,    /* bytes or sub-message, copied */
};

struct pb_field {
    enum pb_action action;
    bool droppable;
    union {
        const struct pb_message *sub;
        pb_map_fn map;
        pb_strip_fn strip;
        pb_number_fn number;
        pb_peek_fn peek;
    };
};

/* Static; fields is indexed by field number. */
struct pb_message {
    const struct pb_field *fields;
    uint32_t n_fields;
    pb_begin_fn begin; /* or NULL */
    pb_end_fn end;     /* or NULL */
    bool closed;       /* what is not listed is left out: a oneof whose next member may hold keys */
};

/* Appends the rewritten message. On an error out is as it was. in must not lie in out. */
enum err pb_splice(const struct pb_message *m, void *ctx, struct span in,
                   struct buf *out) ATTR_MUST_USE;
/* Rewrites data[0..n); the message is then data[0..*ret_n), *ret_n <= n. On an error the bytes are
 * undefined. */
enum err pb_splice_in_place(const struct pb_message *m, void *ctx, uint8_t *data, size_t n,
                            size_t *ret_n) ATTR_MUST_USE;

/* The first n bytes of a message whose rest has not arrived, and which has no begin and no end and
 * is not closed: its whole fields are rewritten, data[0..*ret_read) to data[0..*ret_written). The
 * call is repeated with the bytes behind them and what follows those, at last as a message of their
 * own. What may be cut off is not read; so it is the last call that says if it is malformed. */
enum err pb_splice_arrived(const struct pb_message *m, void *ctx, uint8_t *data, size_t n,
                           size_t *ret_read, size_t *ret_written) ATTR_MUST_USE;

#endif
