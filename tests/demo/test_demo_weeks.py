"""Times of what the demo wrote are set in a database that nobody has used, and no one else's ever."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from mes.management import demo_weeks
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.tokens import find_token
from mes.platform.audit import seals
from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.database import partitions
from tests.factories import make_plant


@pytest.mark.django_db
def test_a_database_that_somebody_uses_is_left_alone() -> None:
    assert demo_weeks.is_due()
    make_plant()
    assert not demo_weeks.is_due()


@pytest.mark.django_db
def test_nothing_is_due_once_the_audit_is_sealed() -> None:
    seals.seal()
    assert not demo_weeks.is_due()


@pytest.mark.django_db
def test_only_entries_of_the_same_transaction_get_another_time() -> None:
    theirs = AuditEntry.objects.earliest("id")  # of a migration
    weeks, meant = demo_weeks.Weeks(), timezone.now() - timedelta(days=28)
    with weeks.meant_for(meant):
        Group.objects.create(name="one")
    ours = AuditEntry.objects.latest("id")
    weeks._times[theirs.pk] = meant
    weeks.date()
    assert at_of(theirs) == theirs.at
    assert abs(at_of(ours) - meant) < timedelta(seconds=1)


def at_of(entry: AuditEntry) -> datetime:
    return AuditEntry.objects.get(pk=entry.pk).at


@pytest.mark.django_db
def test_entries_go_to_their_month() -> None:
    meant = timezone.now() - timedelta(days=40)
    partitions.make_month(seals.TABLE, meant.date().replace(day=1))
    weeks = demo_weeks.Weeks()
    weeks._latest = meant
    with weeks.meant_for(meant):
        Group.objects.create(name="one")
    weeks.date()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {seals.TABLE} ORDER BY id DESC LIMIT 1")
        assert cursor.fetchone()[0] == f"{seals.TABLE}_{meant:%Y_%m}"
    made = seals.seal()
    assert {one.month for one in made} >= {meant.date().replace(day=1)}
    assert seals.verify() is None


@pytest.mark.django_db
def test_without_its_client_the_demo_begins_without_the_weeks(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.DEMO, settings.DATA_DIR = True, tmp_path
    monkeypatch.setattr(demo_weeks, "is_due", lambda: True)
    monkeypatch.setattr(demo_weeks, "CLIENT", "demo.nobody")
    call_command("prepare_demo")
    assert "without its four weeks" in capsys.readouterr().err
    assert find_token(json.loads((tmp_path / "demo.json").read_text())["token"]) is not None
    assert not AuditSeal.objects.exists() and not DeviceToken.objects.filter(name="Demo ERP").exists()
