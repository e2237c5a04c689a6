"""pgqueuer on asyncpg: with its defaults, or with a larger batch (--batch)."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.programs.contract import PADDING, Program, main, uneven

#: Its own default.
BATCH = 10


class PgQueuerProgram(Program):
    """Callers are tasks of one event loop, as its users write them. Everything runs on that loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._loop = uvloop.new_event_loop()
        self._queries: Queries | None = None

    def install(self) -> None:
        async def install() -> None:
            connection = await asyncpg.connect(self.url)
            await Queries(AsyncpgDriver(connection)).install()

        self._run(install())

    def send(self, sent_at: int) -> None:
        self._run(self._send(sent_at))

    def send_many(self, count: int) -> None:
        async def send_all() -> None:
            queries = await self._sender()
            await queries.enqueue(["job"] * count, [_payload(0)] * count, [0] * count)

        self._run(send_all())

    def send_from_callers(self, count: int, callers: int) -> None:
        async def send_some() -> None:
            for _ in range(count // callers):
                await self._send(0)

        async def send_all() -> None:
            await self._sender()
            await asyncio.gather(*(send_some() for _ in range(callers)))

        self._run(send_all())

    def send_paced(self, count: int, pause: float) -> None:
        async def send_all() -> None:
            for number in range(count):
                await asyncio.sleep(uneven(pause, number))
                await self._send(time.monotonic_ns())

        self._run(send_all())

    def work(self) -> None:
        threading.Thread(target=lambda: self._run(self._work()), daemon=True).start()

    async def _work(self) -> None:
        queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(self.url)))

        async def job(job: Job) -> None:
            sent_at, _, _ = (job.payload or b"0 ").partition(b" ")
            self.ran(int(sent_at))

        queue.entrypoint("job")(job)
        await queue.run(batch_size=self.options.batch or BATCH)

    async def _send(self, sent_at: int) -> None:
        queries = self._queries or await self._sender()
        await queries.enqueue("job", _payload(sent_at), 0)

    async def _sender(self) -> Queries:
        if self._queries is None:
            callers = self.options.callers
            if callers == 1:
                self._queries = Queries(AsyncpgDriver(await asyncpg.connect(self.url)))
            else:
                pool = await asyncpg.create_pool(self.url, min_size=callers, max_size=callers)
                self._queries = Queries(AsyncpgPoolDriver(pool))
        return self._queries

    def _run(self, what: Any) -> None:
        self._loop.run_until_complete(what)


def _payload(sent_at: int) -> bytes:
    return f"{sent_at} {PADDING}".encode()


if __name__ == "__main__":
    main(PgQueuerProgram)
