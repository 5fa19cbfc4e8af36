"""Databases beside the one that tests use: made of a dump or as a copy, and gone afterwards."""

import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from os import getpid
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, connections
from psycopg.sql import SQL, Identifier

_numbers = count(1)


@contextmanager
def loaded(dump: Path) -> Iterator[str]:
    """Make a database of a dump, have Django use it, and yield its name."""
    with _made("TEMPLATE template0") as name, used(name):
        with psycopg.connect(**parameters(name), autocommit=True) as loading:
            loading.execute(lzma.decompress(dump.read_bytes()))  # type: ignore[arg-type]
        yield name


@contextmanager
def copied(template: str) -> Iterator[str]:
    """Make a copy of a database that nobody uses, have Django use it, and yield its name."""
    with _made(SQL("TEMPLATE {}").format(Identifier(template)).as_string()) as name, used(name):
        yield name


@contextmanager
def used(name: str) -> Iterator[None]:
    """Have Django's connections of this thread go to a database."""
    before = connection.settings_dict["NAME"]
    connections.close_all()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = before


@contextmanager
def _made(how: str) -> Iterator[str]:
    name = f"upgrade_{getpid()}_{next(_numbers)}"
    connections.close_all()
    with psycopg.connect(**parameters("postgres"), autocommit=True) as server:
        server.execute(SQL("CREATE DATABASE {} {}").format(Identifier(name), SQL(how)))  # type: ignore[arg-type]
        try:
            yield name
        finally:
            connections.close_all()
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def parameters(name: str) -> dict[str, Any]:
    """Return how to connect to a database of the server that Django uses."""
    given = connection.settings_dict
    parameters = {"host": given["HOST"], "port": given["PORT"], "user": given["USER"], "password": given["PASSWORD"]}
    return {key: value for key, value in parameters.items() if value} | {"dbname": name}
