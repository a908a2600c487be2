# SPDX-License-Identifier: Apache-2.0
"""Commit numbers to MariaDB, RabbitMQ and OVN's northbound database, or tell which are there.

It runs in a container of the services' own image, which has the clients. `write` notes each number once its store has
said that it is committed; `read` prints what the stores have; `end` takes away what was made.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

FOLDER = "/faults"
NAME = "hotstack_faults"
PATIENCE = 10.0
PAUSE = 0.25
# A number is the time in microseconds: it grows, whoever writes it.
NUMBERS = Callable[[int], None]


def access() -> dict[str, str]:
    """Return where the stores are, and what lets one in."""
    with open(f"{FOLDER}/access.json", encoding="utf-8") as file:
        found: dict[str, str] = json.load(file)
    return found


@contextlib.contextmanager
def mariadb() -> Iterator[Any]:
    """Connect to MariaDB."""
    given = access()
    connection = importlib.import_module("pymysql").connect(
        host=given["mariadb"],
        user=NAME,
        password=given["mariadb_password"],
        database=NAME,
        autocommit=True,
        connect_timeout=5,
        read_timeout=PATIENCE,
        write_timeout=PATIENCE,
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextlib.contextmanager
def rabbitmq() -> Iterator[Any]:
    """Connect to RabbitMQ; what is published is confirmed once it is on the disk."""
    given = access()
    amqp = importlib.import_module("amqp")
    connection = amqp.Connection(
        host=f"{given['rabbitmq']}:5672",
        userid=given["rabbitmq_user"],
        password=given["rabbitmq_password"],
        confirm_publish=True,
        connect_timeout=5,
        read_timeout=PATIENCE,
        write_timeout=PATIENCE,
    )
    connection.connect()
    try:
        channel = connection.channel()
        channel.queue_declare(queue=NAME, durable=True, auto_delete=False)
        yield channel
    finally:
        # A broken connection can't be closed politely, which does not matter.
        with contextlib.suppress(Exception):
            connection.close()


def ovn(*operations: dict[str, Any]) -> list[dict[str, Any]]:
    """Do operations in the northbound database; they are on the disk when it answers."""
    request = {"id": 1, "method": "transact", "params": ["OVN_Northbound", *operations]}
    with socket.create_connection((access()["ovn"], 6641), timeout=PATIENCE) as connection:
        connection.sendall(json.dumps(request).encode())
        text = ""
        while True:
            part = connection.recv(65536)
            if not part:
                raise ConnectionError("the database ended the connection")
            text += part.decode()
            with contextlib.suppress(json.JSONDecodeError):
                answer = json.loads(text)
                break
    results: list[dict[str, Any]] = answer["result"]
    for result in results:
        if result and "error" in result:
            raise ConnectionError(result["error"])
    return results


def write_mariadb(note: NUMBERS) -> None:
    """Insert rows."""
    with mariadb() as cursor:
        while True:
            number = time.time_ns() // 1000
            cursor.execute("INSERT INTO markers VALUES (%s)", (number,))
            note(number)


def write_rabbitmq(note: NUMBERS) -> None:
    """Publish messages that last."""
    message = importlib.import_module("amqp").Message
    with rabbitmq() as channel:
        while True:
            number = time.time_ns() // 1000
            channel.basic_publish(message(str(number), delivery_mode=2), routing_key=NAME)
            note(number)


def write_ovn(note: NUMBERS) -> None:
    """Change a row: it keeps the last number alone."""
    where = [["name", "==", NAME]]
    while True:
        number = time.time_ns() // 1000
        ids = ["map", [["n", str(number)]]]
        change = {"op": "update", "table": "Address_Set", "where": where, "row": {"external_ids": ids}}
        commit = {"op": "commit", "durable": True}
        if not ovn(change, commit)[0]["count"]:
            ovn({"op": "insert", "table": "Address_Set", "row": {"name": NAME, "external_ids": ids}}, commit)
        note(number)


WRITERS: dict[str, Callable[[NUMBERS], None]] = {
    "mariadb": write_mariadb,
    "rabbitmq": write_rabbitmq,
    "ovn": write_ovn,
}


def keep_writing(store: str, log: int) -> None:
    """Write for ever, whatever happens to the store."""

    def note(number: int) -> None:
        os.write(log, f"{store} {number}\n".encode())
        time.sleep(PAUSE)

    while True:
        try:
            WRITERS[store](note)
        # Each client library has errors of its own, and all mean the same here: not committed.
        except Exception as error:
            print(f"{store}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(0.5)


def write() -> None:
    """Write to all stores at once."""
    log = os.open(f"{FOLDER}/committed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # The first process of a container ends at this signal only if it says so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    for store in WRITERS:
        threading.Thread(target=keep_writing, args=(store, log), daemon=True).start()
    signal.pause()


def read() -> dict[str, list[int]]:
    """Return the numbers that each store has; RabbitMQ's are taken out."""
    found: dict[str, list[int]] = {"rabbitmq": []}
    with mariadb() as cursor:
        cursor.execute("SELECT number FROM markers")
        found["mariadb"] = [row[0] for row in cursor.fetchall()]
    with rabbitmq() as channel:
        while True:
            message = channel.basic_get(NAME, no_ack=True)
            if message is None:
                break
            found["rabbitmq"].append(int(message.body))
    rows = ovn({"op": "select", "table": "Address_Set", "where": [["name", "==", NAME]]})[0]["rows"]
    found["ovn"] = [int(dict(row["external_ids"][1])["n"]) for row in rows]
    return found


def end() -> None:
    """Remove queue and row; the database is removed by its administrator."""
    with rabbitmq() as channel:
        channel.queue_delete(NAME)
    ovn({"op": "delete", "table": "Address_Set", "where": [["name", "==", NAME]]})


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write()
    elif sys.argv[1] == "read":
        print(json.dumps(read()))
    else:
        end()
