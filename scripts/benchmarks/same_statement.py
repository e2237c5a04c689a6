"""The statement that leasequeue sends, for others to send it too."""

from __future__ import annotations

import json
import re
import uuid
from contextlib import closing

import psycopg2

from leasequeue.policy import Policy
from leasequeue.queries import Queries

from .programs.contract import PADDING

#: Where the benchmarked queue lives.
SCHEMA = "dramatiq"
QUEUE = "bench"


def stored_message() -> str:
    """A job's message as dramatiq encodes it, for SQL that makes jobs by the million."""
    message = {
        "queue_name": QUEUE,
        "actor_name": "job",
        "args": [0, PADDING],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid.uuid4()),
        "message_timestamp": 1_700_000_000_000,
    }
    return json.dumps(message, separators=(",", ":"))


def enqueue_statement(url: str) -> str:
    """leasequeue's enqueue with its parameters filled in, except that the server makes the id."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        parameters = {
            "message_id": "<id>",
            "queue_name": QUEUE,
            "message": stored_message(),
            "expire_after": f"{Policy().expire_after} s",
        }
        statement = cursor.mogrify(Queries(SCHEMA)["enqueue"], parameters).decode()
    return re.sub(r"\s+", " ", statement.replace("'<id>'", "gen_random_uuid()"))
