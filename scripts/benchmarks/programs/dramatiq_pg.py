"""dramatiq-pg 0.12 as it is installed."""

from __future__ import annotations

from typing import Any

import psycopg2
from dramatiq_pg import PostgresBroker
from dramatiq_pg.schema import generate_init_sql

from benchmarks.programs.contract import main
from benchmarks.programs.dramatiq_family import DramatiqProgram, middleware


class DramatiqPg(DramatiqProgram):
    """It has no bulk enqueue, and collapses at about 12,800 jobs without a pause."""

    def make_broker(self) -> Any:
        return PostgresBroker(url=self.url, middleware=middleware())

    def install(self) -> None:
        connection = psycopg2.connect(self.url)
        with connection, connection.cursor() as cursor:
            cursor.execute(generate_init_sql())


if __name__ == "__main__":
    main(DramatiqPg)
