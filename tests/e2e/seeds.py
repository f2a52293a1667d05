# SPDX-License-Identifier: Apache-2.0
"""The seed of a random test: what its variable says, or, where that is unset, the same one in every run, so that a
change is judged by the same program as the one before it; SEEDS=new (the preset "nightly") draws a new one."""
import os
import random


def seed(variable):
    """Printed, as the line that repeats the run."""
    fresh = random.SystemRandom().randrange(1 << 32) if os.environ.get("SEEDS") == "new" else 1
    chosen = int(os.environ.get(variable, fresh))
    print(f"{variable}={chosen}", flush=True)
    return chosen
