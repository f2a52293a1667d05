# SPDX-License-Identifier: Apache-2.0
"""Dynamo's hello world, run by dynamo_test.py in the environment of build/venv-dynamo.

    dynamo_hello.py serve NAME        serves dynamo.backend.generate until SIGTERM
    dynamo_hello.py ask SECONDS TEXT  prints "got WORD" for each word, or "no instances"
"""

import asyncio
import os
import sys

from dynamo.runtime import DistributedRuntime, dynamo_worker

ENDPOINT = "dynamo.backend.generate"


async def generate(request):
    for word in ("hello", str(request), "from", sys.argv[2]):
        yield word


@dynamo_worker()
async def serve(runtime: DistributedRuntime):
    await runtime.endpoint(ENDPOINT).serve_endpoint(generate)


async def first_answer(client):
    """Right after wait_for_instances() 1.4.2's router may not yet know what the client knows: on a
    loaded machine one of twenty calls fails so, directly on etcd as well as through a sidecar."""
    while True:
        try:
            return await client.generate(sys.argv[3])
        except Exception as e:
            if "No workers available" not in str(e):
                raise
        await asyncio.sleep(0.01)


@dynamo_worker()
async def ask(runtime: DistributedRuntime):
    client = await runtime.endpoint(ENDPOINT).client()
    try:
        await asyncio.wait_for(client.wait_for_instances(), float(sys.argv[2]))
    except asyncio.TimeoutError:
        print("no instances", flush=True)
    else:
        print(f"{len(client.instance_ids())} instances", flush=True)
        async for word in await first_answer(client):
            print("got", word.data() if hasattr(word, "data") else word, flush=True)
    # Its finaliser aborts the process now and then, after everything has been said.
    os._exit(0)


asyncio.run({"serve": serve, "ask": ask}[sys.argv[1]]())
