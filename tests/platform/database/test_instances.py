"""Instances that are made of prepared rows are those of the ORM."""

from typing import Any

import pytest
from django.db.models import Model

from mes.plant.models import Line
from mes.platform.database.instances import Columns, instances
from mes.platform.database.prepared import fetch_all
from mes.production.models import Run, Unit
from mes.routing.models import RouteVersion
from tests.factories import make_plant


def values_of(instance: Model) -> dict[str, Any]:
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


@pytest.mark.parametrize("model", [Run, Unit, Line, RouteVersion])
def test_an_instance_is_that_of_the_orm(db: None, model: Any) -> None:
    make_plant()
    columns = Columns(model, "x")
    expected = model.objects.order_by("pk").first()
    rows = fetch_all(f"SELECT {columns} FROM {model._meta.db_table} x ORDER BY x.id LIMIT 1", {})
    (made,) = instances(rows[0], columns)
    assert values_of(made) == values_of(expected)
    assert made == expected and not made._state.adding and not made.get_deferred_fields()


def test_a_row_has_several_and_what_an_outer_join_does_not_find_is_none(db: None) -> None:
    make_plant()
    Unit.objects.filter(sn="SN-1").update(run=None)
    units, runs = Columns(Unit, "u"), Columns(Run, "r")
    rows = fetch_all(
        f"SELECT {units}, {runs}, u.sn FROM mes_unit u LEFT JOIN mes_run r ON r.id = u.run_id ORDER BY u.sn LIMIT 2", {}
    )
    (first, no_run), (second, run) = (tuple(instances(row, units, runs)) for row in rows)
    assert (first.sn, no_run) == ("SN-1", None)
    assert (second.sn, run.run_no, rows[1][-1]) == ("SN-2", "RUN-1", "SN-2")


def test_what_is_left_out_is_read_when_asked_for(db: None, django_assert_num_queries: Any) -> None:
    make_plant()
    columns = Columns(RouteVersion, "v", without=("snapshot",))
    assert "snapshot" not in str(columns)
    (row,) = fetch_all(f"SELECT {columns} FROM mes_routeversion v LIMIT 1", {})
    (version,) = instances(row, columns)
    assert version.get_deferred_fields() == {"snapshot"}
    with django_assert_num_queries(1):
        snapshot = version.snapshot
    assert snapshot == RouteVersion.objects.get(pk=version.pk).snapshot
