# SPDX-License-Identifier: Apache-2.0
"""NATS keys, JWTs and credentials files for tests; Ed25519 by the openssl program."""

import base64
import binascii
import hashlib
import json
import os
import subprocess
import time

SEED, OPERATOR, ACCOUNT, USER = 18 << 3, 14 << 3, 0, 20 << 3


def _text(raw):
    raw += binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw).decode().rstrip("=")


def _url(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Key:
    """A new key pair of a kind: .seed and .public as NATS writes them."""

    def __init__(self, kind, directory):
        raw = os.urandom(32)
        self.path = os.path.join(directory, f"key-{kind}-{raw[:4].hex()}.der")
        with open(self.path, "wb") as f:
            f.write(bytes.fromhex("302e020100300506032b657004220420") + raw)  # PKCS #8
        public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", self.path, "-pubout", "-outform", "DER"],
                                check=True, stdout=subprocess.PIPE).stdout[-32:]
        self.seed = _text(bytes([SEED | kind >> 5, kind << 3 & 0xFF]) + raw)
        self.public = _text(bytes([kind]) + public)

    def sign(self, data):
        path = self.path + ".data"
        with open(path, "wb") as f:
            f.write(data)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", self.path, "-in", path],
                              check=True, stdout=subprocess.PIPE).stdout

    def jwt(self, subject, name, nats, expires_s=None):
        """What this key says of subject, signed."""
        claims = {"iat": int(time.time()), "iss": self.public, "sub": subject, "name": name,
                  "nats": {**nats, "version": 2}}
        if expires_s is not None:
            claims["exp"] = int(time.time()) + expires_s
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
        text = (_url(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode()) + "." +
                _url(json.dumps(claims).encode()))
        return text + "." + _url(self.sign(text.encode()))


LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True,
          "conn": -1, "leaf": -1}


def creds(account, directory, name):
    """The text of a credentials file of a new user of account."""
    user = Key(USER, directory)
    jwt = account.jwt(user.public, name, {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    return (f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
