"""How a table is filled: one statement, and what it is given."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Model

Fill = Callable[[Mapping[str, Any]], None]


def run(statement: str, given: Mapping[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)


def fill_table(model: type[Model], source: str, /, **columns: str) -> Fill:
    """Return what fills a table from a FROM clause: expressions by column, of other columns what the model has."""

    def fill(given: Mapping[str, Any]) -> None:
        values, defaults = dict(columns), {}
        for field in model._meta.concrete_fields:
            column = str(field.column)
            if column not in values and not field.null and not field.primary_key:
                defaults[f"default_{column}"] = field.get_db_prep_save(field.get_default(), connection)
                values[column] = f"%(default_{column})s"
        table = model._meta.db_table
        names = ", ".join(map(connection.ops.quote_name, values))  # one is a word of SQL
        statement = f"INSERT INTO {table} ({names}) SELECT {', '.join(values.values())} FROM {source}"
        run(statement, {**given, **defaults})
        if "id" in columns:
            run(CONTINUE.format(table=table), {})

    return fill


def in_turn(*fills: Fill) -> Fill:
    """Return what runs these one after the other."""

    def fill(given: Mapping[str, Any]) -> None:
        for each in fills:
            each(given)

    return fill


def run_with(statement: str) -> Fill:
    return lambda given: run(statement, given)


# Ids go on after those that are given; of tables that share a sequence, after the greatest.
CONTINUE = """
    SELECT setval(s.name, greatest(nextval(s.name), (SELECT max(id) FROM {table})))
      FROM (SELECT coalesce(pg_get_serial_sequence('{table}', 'id'),
                            substring(pg_get_expr(adbin, adrelid) FROM '''(.+)''')) AS name
              FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE attrelid = '{table}'::regclass AND attname = 'id') AS s
"""
