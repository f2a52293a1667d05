/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern_hash - one number for the lists of patterns that all sidecars of an installation must
 * have alike, view.requests and view.events (design.md 5.2).
 *
 * Law: two pairs of lists that hold the same patterns, in any order and however often each, have
 * the same hash. It tells mistakes apart, not forgeries. Never 0.
 */
#ifndef POLICY_PATTERN_HASH_H
#define POLICY_PATTERN_HASH_H

#include "base/span.h"

uint64_t pattern_hash(const struct span *requests, unsigned request_patterns,
                      const struct span *events, unsigned event_patterns);

#endif
