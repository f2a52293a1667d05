# SPDX-License-Identifier: Apache-2.0
"""One way from the load to the server."""
import dataclasses


@dataclasses.dataclass
class Target:
    """Where the load goes: addresses of the first and of the second connection (NATS)."""
    name: str
    address: str
    answer_address: str
    between: list  # the processes whose CPU counts
    servers: list = dataclasses.field(default_factory=list)  # etcd or nats-server; theirs, apart
    extra: tuple = ()  # further arguments of the load program
