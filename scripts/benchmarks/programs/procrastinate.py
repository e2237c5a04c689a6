"""procrastinate with its defaults, and as many jobs at once as the others have threads."""

from __future__ import annotations

import argparse
import asyncio
import threading

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.programs.contract import PADDING, Program, main


class Procrastinate(Program):
    """Sends by its synchronous connector, works by its asynchronous one."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        if options.mode == "work":
            self.app = App(connector=PsycopgConnector(conninfo=self.url))
        else:
            self.app = App(connector=SyncPsycopgConnector(conninfo=self.url, min_size=1, max_size=options.callers))
            self.app.open()

        async def job(sent_at: int, padding: str) -> None:
            self.ran(sent_at)

        self.task = self.app.task(name="job", queue="bench")(job)

    def install(self) -> None:
        self.app.schema_manager.apply_schema()

    def send(self, sent_at: int) -> None:
        self.task.defer(sent_at=sent_at, padding=PADDING)

    def send_many(self, count: int) -> None:
        self.task.batch_defer(*({"sent_at": 0, "padding": PADDING} for _ in range(count)))

    def work(self) -> None:
        threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True).start()

    async def _work(self) -> None:
        async with self.app.open_async():
            await self.app.run_worker_async(concurrency=self.options.threads, install_signal_handlers=False)


if __name__ == "__main__":
    main(Procrastinate)
