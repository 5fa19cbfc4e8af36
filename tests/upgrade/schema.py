"""What a schema is made of, in a form that can be compared: a database taken over must have that of a new one."""

import re
from typing import Any

import psycopg
from django.db import connection

from . import databases

KINDS = {
    "columns": "SELECT table_name, column_name, data_type, collation_name, is_nullable, character_maximum_length,"
    " coalesce(column_default, '') || is_identity FROM information_schema.columns WHERE table_schema = 'public'",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT proname, proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "views": "SELECT viewname, viewname, definition FROM pg_views WHERE schemaname = 'public'",
}
CASTS = re.compile(r"::(character varying|text)(\[\])?|[() ]")


def read_used(kind: str) -> set[str]:
    """Return this kind of thing of the database that Django uses."""
    with connection.cursor() as cursor:
        cursor.execute(KINDS[kind])
        return _comparable(cursor.fetchall())


def read(kind: str, name: str) -> set[str]:
    """Return this kind of thing of another database of the server."""
    with psycopg.connect(**databases.parameters(name)) as other:
        return _comparable(other.execute(KINDS[kind]).fetchall())


def _comparable(rows: list[Any]) -> set[str]:
    """Return what is not of a partition, which are of other months, without casts, which a dump writes otherwise."""
    return {CASTS.sub("", str(row)) for row in rows if not str(row[0])[-7:].replace("_", "").isdigit()}
