# SPDX-License-Identifier: Apache-2.0
"""A worker, to be started several times against one stream in Redis.

    python3 worker.py --consumer-name worker-1 &
    python3 worker.py --consumer-name worker-2 &
    python3 worker.py --enqueue 1000

The workers share the load: each job is delivered to one of them. End one with TERM or Ctrl-C and it finishes
the job in hand; kill it with -9 and another takes its jobs over after --claim-after seconds. So a job may be
begun twice, and is written so that this does no harm: its result is a file named after the job, put in its place
in one step.

A worker that is started again should have the name that it had, and no two that run have the same one.
"""

import argparse
import asyncio
import hashlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from necrostack.backends import RedisBackend
from necrostack.core import Event, Organ, Spine
from necrostack.core.spine import EnqueueFailureMode, HandlerFailureMode


class Job(Organ):
    """Works for a while and keeps a result."""

    listens_to = ["JOB"]

    def __init__(self, results, seconds, worker):
        super().__init__()
        self.results, self.seconds, self.worker = results, seconds, worker

    async def handle(self, event):
        number = event.payload["number"]
        result = self.results / str(number)
        if result.exists():
            return
        await asyncio.sleep(self.seconds)
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        unfinished = self.results / f".{number}.{self.worker}"
        unfinished.write_text(f"{digest} {self.worker}\n")
        unfinished.replace(result)
        print(f"{self.worker} did {number}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Works on the jobs of a stream in Redis.")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", metavar="URL")
    parser.add_argument("--stream", default="jobs")
    parser.add_argument("--group", default="workers")
    parser.add_argument("--consumer-name", default=f"{socket.gethostname()}-{os.getpid()}", metavar="NAME")
    parser.add_argument("--claim-after", type=float, default=30, metavar="SECONDS",
                        help="take over what another has had for so long; longer than any job lasts")
    parser.add_argument("--max-retries", type=int, default=3, metavar="N",
                        help="deliveries until a job goes to the dead letters")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=0.1, help="how long a job lasts")
    parser.add_argument("--enqueue", type=int, metavar="N", help="put N jobs into the stream, and end")
    return parser.parse_args()


async def enqueue(backend, count):
    for number in range(count):
        await backend.enqueue(Event("JOB", {"number": number}))
    print(f"{count} jobs enqueued")


async def work(backend, options):
    options.results.mkdir(parents=True, exist_ok=True)
    spine = Spine(
        organs=[Job(options.results, options.seconds, options.consumer_name)],
        backend=backend,
        handler_failure_mode=HandlerFailureMode.NACK,
        enqueue_failure_mode=EnqueueFailureMode.RETRY,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, spine.stop)
    print(f"{options.consumer_name} is ready", flush=True)
    began = time.monotonic()
    stats = await spine.run_forever()
    print(f"{options.consumer_name} ends: {stats.events_processed} jobs in {time.monotonic() - began:.0f} s")


async def main():
    options = arguments()
    async with RedisBackend(
        options.redis,
        stream_key=options.stream,
        consumer_group=options.group,
        consumer_name=options.consumer_name,
        max_retries=options.max_retries,
        claim_min_idle_ms=round(options.claim_after * 1000),
    ) as backend:
        await (work(backend, options) if options.enqueue is None else enqueue(backend, options.enqueue))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
