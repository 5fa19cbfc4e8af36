"""One statement reads a picture and one writes moves: all of what they are made of."""

import pytest
from django.db import connection

from execution import moves_sql, unit_state
from execution.models import Track
from mes.production import locking, runs
from mes.production.models import Unit
from tests.execution.support import track_in
from tests.factories import api_client, make_plant


def test_every_column_of_a_track_is_written() -> None:
    written = {*moves_sql._TRACK_TYPES, *moves_sql._CLOSING_TYPES, "id", "unit_id", "created_at"}
    assert written == {field.column for field in Track._meta.concrete_fields}


def test_no_field_of_a_picture_needs_decoding() -> None:
    """Its rows are not read by the ORM, which decodes JSON for instance."""
    for model in unit_state._FIELDS:
        for field in model._meta.concrete_fields:
            assert not field.get_db_converters(connection), f"{model.__name__}.{field.name}"


@pytest.mark.django_db
def test_who_never_meets_the_world_as_it_was_is_told_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make_plant()
    monkeypatch.setattr(locking.Locked, "check", lambda self, **rows: _outdated())
    answer = track_in(api_client(), "SMT-01", "SN-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "TRY_AGAIN")


def _outdated() -> None:
    raise locking.Outdated


@pytest.mark.django_db
def test_a_unit_that_changed_its_run_before_it_was_locked_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = make_plant()
    lock, locked = locking.lock, []

    def too_late(sns: list[str], **named: str) -> locking.Locked:
        locked.append(lock(sns, **named))
        if len(locked) == 1:  # as if another transaction had moved it while this one waited
            other = runs.create(wo_no=plant.order.wo_no, line_code=plant.line.code, plan_qty=5, run_no="RUN-2")
            Unit.objects.filter(sn="SN-1").update(run=other)
        return locked[-1]

    monkeypatch.setattr(locking, "lock", too_late)
    assert track_in(api_client(), "SMT-01", "SN-1").status_code == 201
    assert len(locked) == 2
