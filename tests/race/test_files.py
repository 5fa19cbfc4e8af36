"""The same content sent at once is one file; a file that the night takes is not taken into use, nor the other way."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Event
from time import sleep
from typing import Any

import pytest
from django.db import transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Defect
from execution.quality.first_article import services as first_article
from execution.quality.first_article.models import FirstArticle
from mes.errors import StoredFileNotFound
from mes.platform.database import retention
from mes.platform.files import attachments, services
from mes.platform.files import retention as retention_of_files
from mes.platform.files.models import FileAttachment, StoredFile, StoredFilePart
from mes.platform.signatures import services as signatures
from mes.production.models import Run, Unit
from tests.factories import make_plant
from tests.integration.helpers import another, at_once
from tests.platform.files.support import make_picture, send

TIMES = 8


def send_at_once(person: APIClient) -> list[int]:
    content = make_picture()
    return sorted(at_once(lambda: send(another(person), content, "a.png").status_code, times=TIMES))


def test_the_same_content_sent_at_once_is_kept_once(person: APIClient) -> None:
    assert send_at_once(person) == [200] * (TIMES - 1) + [201]
    assert (StoredFile.objects.count(), StoredFilePart.objects.count()) == (1, 1)


def test_control_without_the_constraint_it_is_kept_again(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, without_constraint: Callable[..., AbstractContextManager[None]]
) -> None:
    plain = services._INSERT.replace("ON CONFLICT (sha256) DO UPDATE SET wanted_at = EXCLUDED.wanted_at", "")
    monkeypatch.setattr(services, "_INSERT", plain)
    with without_constraint(StoredFile, "stored_file_content_once"):
        assert send_at_once(person) == [201] * TIMES
        assert StoredFile.objects.count() == TIMES


@pytest.mark.parametrize("is_locked", [True, False], ids=["locked", "control"])
def test_files_sent_at_once_are_too_much_together(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, slow: Callable[..., None], settings: Any, *, is_locked: bool
) -> None:
    contents = [make_picture(size=(9, size)) for size in (8, 9)]
    settings.MES_FILE_QUOTA = max(map(len, contents))
    slow(services, "_insert", before=0.3)
    if not is_locked:
        monkeypatch.setattr(services, "_lock_quota", lambda by: None)
    senders = [lambda content=content: send(another(person), content, "a.png").status_code for content in contents]
    assert sorted(at_once(*senders)) == ([201, 422] if is_locked else [201, 201])
    assert StoredFile.objects.count() == (1 if is_locked else 2)


# --- the night takes a file that somebody attaches ----------------------------------------------------------


def attach_while_chosen(person: APIClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Attach an old file while the retention looks for what nothing uses; return what that did."""
    make_plant()
    defect = Defect.objects.create(
        unit=Unit.objects.get(sn="SN-1"), run=Run.objects.get(), step_no=10, code="BRIDGE", found_at=timezone.now()
    )
    file_id = send(person, make_picture(), "a.png").json()["data"]["id"]
    StoredFile.objects.update(wanted_at=timezone.now() - timedelta(days=40))
    slowly = RawSQL("(SELECT true FROM pg_sleep(1))", (), output_field=BooleanField())
    unused = retention_of_files.list_unused
    policy = replace(retention_of_files.POLICY, expired=lambda cutoff: unused(cutoff).filter(slowly))
    monkeypatch.setattr(retention, "policies", [policy])

    def attach() -> int:
        sleep(0.4)
        body = {"recordType": "DEFECT", "recordId": str(defect.pk)}
        return int(another(person).post(f"/api/files/{file_id}/attach", body).status_code)

    status, outcome = at_once(attach, retention.run)
    assert status == 201 and StoredFile.objects.count() == FileAttachment.objects.count() == 1
    return outcome


def test_a_file_that_is_attached_while_the_night_looks_stays(
    person: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = attach_while_chosen(person, monkeypatch)
    assert (outcome.rows, outcome.errors) == ({}, {})


def test_control_without_noting_the_use_it_is_chosen_all_the_same(
    person: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "keep", lambda ids: None)
    outcome = attach_while_chosen(person, monkeypatch)
    assert list(outcome.errors) != []  # the foreign key alone keeps it


def test_a_file_that_the_night_takes_is_not_attached(person: APIClient) -> None:
    file_id = int(send(person, make_picture(), "a.png").json()["data"]["id"])
    taken, attached = Event(), Event()

    def take() -> None:
        with transaction.atomic():
            StoredFile.objects.select_for_update().get(pk=file_id)
            taken.set()
            attached.wait(0.5)
            StoredFile.objects.all().delete()

    def use() -> str:
        taken.wait(10)
        with pytest.raises(StoredFileNotFound), transaction.atomic():
            services.keep([file_id])
            attached.set()
        return "refused"

    assert at_once(take, use)[1] == "refused" and not attached.is_set()


def test_a_file_that_two_take_away_at_once_is_taken_away_once(
    person: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = make_plant()
    defect = Defect.objects.create(
        unit=plant.units[0], run=plant.run, step_no=10, code="BRIDGE", found_at=timezone.now()
    )
    file_id = send(person, make_picture(), "a.png").json()["data"]["id"]
    body = {"recordType": "DEFECT", "recordId": str(defect.pk)}
    attached = person.post(f"/api/files/{file_id}/attach", body).json()["data"]["id"]
    both, lock = Barrier(2), attachments._lock

    def meet_and_lock(*record: Any) -> Any:
        both.wait(20)
        return lock(*record)

    monkeypatch.setattr(attachments, "_lock", meet_and_lock)
    assert sorted(at_once(lambda: another(person).delete(f"/api/attachments/{attached}").status_code, times=2)) == [
        200,
        404,
    ]


# --- somebody signs a record while its files change ----------------------------------------------------------


@pytest.mark.parametrize("is_locked", [True, False], ids=["locked", "control"])
def test_what_changes_while_a_record_is_signed_is_a_change_of_what_was_signed(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, is_locked: bool
) -> None:
    plant = make_plant()
    fai = FirstArticle.objects.create(run=plant.run, sample_qty=1, status="PASSED")
    item = fai.items.create(unit=plant.units[0], item_name="Joint", result="PASS")
    first, second = (send(person, make_picture(size=(9, size)), "a.png").json()["data"]["id"] for size in (9, 8))
    body = {"recordType": "FAI_ITEM", "recordId": str(item.pk)}
    attached = person.post(f"/api/files/{first}/attach", body).json()["data"]["id"]
    if not is_locked:
        request.getfixturevalue("without_locks")
    signing, changed = Event(), Event()

    def sign_slowly(*args: Any, **about: Any) -> None:
        signing.set()
        changed.wait(0.5)

    monkeypatch.setattr(signatures, "record", sign_slowly)

    def change() -> tuple[int, bool]:
        signing.wait(10)
        other = another(person)
        removed = other.delete(f"/api/attachments/{attached}").status_code
        added = other.post(f"/api/files/{second}/attach", body).json()["data"]["addedLater"]
        changed.set()
        return removed, added

    _fai, outcome = at_once(lambda: first_article.sign(fai_id=fai.pk, by="quinn"), change)
    assert outcome == ((422, True) if is_locked else (200, False))
