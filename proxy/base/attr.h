/* SPDX-License-Identifier: Apache-2.0 */
/* attr - the compiler attributes the tree uses, by name. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define ATTR_MUST_USE        __attribute__((warn_unused_result))
#define ATTR_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define ATTR_PURE            __attribute__((pure))
#define ATTR_COLD            __attribute__((cold))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
