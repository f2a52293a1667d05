# SPDX-License-Identifier: Apache-2.0
"""Protobuf by hand, for messages that no library would write, and for reading every field as it is."""


def varint(v):
    out = b""
    v &= (1 << 64) - 1
    while v > 127:
        out += bytes((v & 127 | 128,))
        v >>= 7
    return out + bytes((v,))


def pb(*fields):
    """(number, int or bytes or str), as they come."""
    out = b""
    for number, v in fields:
        v = v.encode("latin-1") if isinstance(v, str) else v
        out += varint(number << 3) + varint(v) if isinstance(v, int) else varint(number << 3 | 2) + varint(len(v)) + v
    return out


def read_varint(data, at):
    v = shift = 0
    while True:
        b = data[at]
        v |= (b & 127) << shift
        at, shift = at + 1, shift + 7
        if b < 128:
            return v, at


def read(data):
    """[(number, value)] of a message."""
    found, at = [], 0
    while at < len(data):
        tag, at = read_varint(data, at)
        v, at = read_varint(data, at)
        if tag & 7 == 2:
            v, at = data[at:at + v], at + v
        found.append((tag >> 3, v))
    return found


def field(message, number, default=0):
    """The last occurrence of a field."""
    return dict(read(message)).get(number, default)


def every(message, number):
    return [v for n, v in read(message) if n == number]
