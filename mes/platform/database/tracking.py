"""Tables whose every change is kept, by a trigger of the database: nobody can write past it.

What is kept, and how to read it, is in `mes.platform.audit`; what the trigger does, in the function `mes_audit`
(migration mes 0028). Rooms register what they have tracked in `AppConfig.ready()`; a test compares with the triggers
that migrations made, and wants of every other table a reason (`tests/platform/audit/test_every_model.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation

from mes.platform.hooks import Hook

OF_ENTRY = 9  # arguments of a trigger, without those of what is above a root: a new table has no rows of such
SYSTEM = '{"actor": "", "actorKind": "SYSTEM", "via": "TASK"}'


@dataclass(frozen=True)
class Tracked:
    """A table whose changes are kept.

    `entity` is what the interface calls the collection, `key` the column by which its addresses name a row, `name` the
    column that people read. A row that belongs to another (a step to its route) has a `root`. Columns of `left_out`,
    which machines or sign-ins write, make no entry and stand in none; of those of `hidden`, an entry says only that
    they changed. `fields` are the interface's names of columns, where they are not the columns' own in camelCase;
    `units` say of columns which column of the row has their unit, or the unit itself. `shown` is the collection's label
    for people. What is `for_admins` says who may do what: nobody else sees it.
    """

    table: str
    entity: str
    shown: Any
    key: str = "id"
    name: str = "id"
    root: "Root | None" = None
    left_out: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    for_admins: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the trigger is told, in the order in which `mes_audit` reads it."""
        root = self.root or Root("", "", "", "")
        lists = ("{" + ",".join(names) + "}" for names in (self.left_out, self.hidden))
        above = () if root.above is None else root.above.arguments
        return (self.entity, self.key, self.name, *root.arguments, *lists, *above)


@dataclass(frozen=True)
class Root:
    """What a row belongs to: `column` of its table has the id of a row of `table`, which people know by `key`.

    Where that belongs to something itself (a config to its route), so does the row: to what is `above`.
    """

    entity: str
    column: str
    table: str
    key: str
    above: "Root | None" = None

    @property
    def arguments(self) -> tuple[str, str, str, str]:
        """What the trigger is told."""
        return (self.entity, self.column, self.table, self.key)


# What is tracked, by table. Registered once; the trigger of a table is made by a migration (`TrackTable`).
tracked: Hook[Tracked] = Hook(key=lambda thing: thing.table)


def tracked_as(model: type[models.Model]) -> Tracked | None:
    """Return how changes of a model's rows are kept; None where they are not."""
    return next((thing for thing in tracked if thing.table == model._meta.db_table), None)


def is_tracked(model: type[models.Model]) -> bool:
    """Whether changes of a model's rows are kept."""
    return tracked_as(model) is not None


class TrackTable(Operation):
    """A migration that begins to keep the changes of a table: makes its trigger, and an entry for each row there is.

    It says what `Tracked` says, of the time of the migration.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, table: str, arguments: tuple[str, ...]) -> None:
        self.table = table
        self.arguments = arguments

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.table, self.arguments], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing that models know of changes."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        given = ", ".join(f"'{argument}'" for argument in self.arguments)
        of_entry = ", ".join(f"'{argument}'" for argument in self.arguments[:OF_ENTRY])
        schema_editor.execute(
            f"CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {self.table} "
            f"FOR EACH ROW EXECUTE FUNCTION mes_audit({given})"
        )
        schema_editor.execute(f"SELECT set_config('linekeeper.audit', '{SYSTEM}', true)")
        schema_editor.execute(
            f"SELECT mes_audit_entry('INSERT', NULL, to_jsonb(t), {of_entry}) FROM {self.table} t ORDER BY id"
        )
        schema_editor.execute("SELECT set_config('linekeeper.audit', '', true)")

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        schema_editor.execute(f"DROP TRIGGER audit ON {self.table}")

    def describe(self) -> str:
        return f"Keep the changes of {self.table}"


class RetrackTable(Operation):
    """A migration that keeps the changes of a table in another way from now on; the entries there are stay."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, table: str, before: tuple[str, ...], arguments: tuple[str, ...]) -> None:
        self.table, self.before, self.arguments = table, before, arguments

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.table, self.before, self.arguments], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing that models know of changes."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        self._replace(schema_editor, self.arguments)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        self._replace(schema_editor, self.before)

    def _replace(self, schema_editor: BaseDatabaseSchemaEditor, arguments: tuple[str, ...]) -> None:
        given = ", ".join(f"'{argument}'" for argument in arguments)
        schema_editor.execute(f"DROP TRIGGER audit ON {self.table}")
        schema_editor.execute(
            f"CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {self.table} "
            f"FOR EACH ROW EXECUTE FUNCTION mes_audit({given})"
        )

    def describe(self) -> str:
        return f"Keep the changes of {self.table} in another way"
