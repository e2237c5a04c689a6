"""dramatiq-postgres, the nearest relative, with its defaults."""

from __future__ import annotations

from typing import Any

import psycopg
from dramatiq_postgres import PostgresBroker
from dramatiq_postgres import schema as its_schema

from benchmarks.programs.contract import main
from benchmarks.programs.dramatiq_family import DramatiqProgram, middleware


class DramatiqPostgres(DramatiqProgram):
    """It has no bulk enqueue."""

    def make_broker(self) -> Any:
        return PostgresBroker(url=self.url, middleware=middleware())

    def install(self) -> None:
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            its_schema.init(cursor)


if __name__ == "__main__":
    main(DramatiqPostgres)
