"""Files at defects, inspected items and holds: told with them, shown on their pages, taken away by whom it may be."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Defect
from execution.quality.first_article import signed_document
from execution.quality.first_article.models import FirstArticle, FirstArticleItem
from execution.quality.oqc.models import OqcInspection, OqcItem
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.files import attachments
from mes.platform.files.models import FileAttachment
from mes.platform.signatures.models import Signature
from mes.production.hold_models import HoldDecision
from tests.execution.support import assert_done, decide, track_in, track_out
from tests.factories import Plant, api_client, make_plant, make_user
from tests.platform.files.support import make_pdf, make_picture, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=3)


@pytest.fixture
def client() -> APIClient:
    return api_client(Role.ADMIN)


def fail(client: APIClient, sn: str = "SN-1", codes: int = 1) -> list[Defect]:
    assert_done(track_in(client, sn=sn), 201)
    defects = [{"code": "BRIDGE", "location": f"U{number}"} for number in range(codes)]
    assert_done(track_out(client, sn=sn, result="FAIL", defects=defects))
    return list(Defect.objects.filter(unit__sn=sn).order_by("id"))


def photo(client: APIClient, width: int = 640) -> str:
    return str(send(client, make_picture("JPEG", (width, 480)), "solder.jpg").json()["data"]["id"])


def attach(client: APIClient, kind: str, record_id: Any, file_id: str | None = None, **body: Any) -> Any:
    file_id = file_id or photo(client)
    return client.post(f"/api/files/{file_id}/attach", {"recordType": kind, "recordId": str(record_id), **body})


def inspect(plant: Plant, *, signed: bool = False) -> FirstArticleItem:
    now = timezone.now() if signed else None
    fai = FirstArticle.objects.create(run=plant.run, sample_qty=1, status="PASSED", signed_at=now, signed_by="quinn")
    return FirstArticleItem.objects.create(first_article=fai, unit=plant.units[0], item_name="Joint", result="PASS")


def sample(plant: Plant) -> OqcItem:
    lot = {"lot_size": 1, "sample_qty": 1, "ac": 0, "re": 1, "seed": "0", "items_asked": []}
    found = OqcInspection.objects.create(run=plant.run, scheme="ALL", created_by="x", status="INSPECTING", **lot)
    found.samples.create(unit=plant.units[0])
    return OqcItem.objects.create(inspection=found, unit=plant.units[0], item_name="Joint", result="PASS")


def sign_in(role: Role, name: str = "") -> Client:
    browser = Client()
    browser.force_login(make_user(role, username=name or None))
    return browser


# --- where they are told ----------------------------------------------------------------------------------


def test_a_defect_tells_its_files_everywhere(client: APIClient, plant: Plant) -> None:
    (defect,) = fail(client)
    answer = attach(client, "DEFECT", defect.pk, note="Bridge at U0")
    told = answer.json()["data"]
    assert (answer.status_code, told["title"], told["mediaType"]) == (201, "Bridge at U0", "image/jpeg")
    again = attach(client, "DEFECT", defect.pk, told["fileId"], note="another")
    assert (again.status_code, again.json()["data"]) == (200, told)
    listed = client.get("/api/defects").json()["data"]["items"][0]
    traced = client.get("/api/trace/units/SN-1").json()["data"]["defects"][0]
    assert listed["files"] == traced["files"] == [told]
    browser = sign_in(Role.OPERATOR)
    page = browser.get("/trace/units/SN-1/").content.decode()
    assert f'src="/files/{told["fileId"]}/thumbnail/"' in page and "Bridge at U0" in page
    decide(client, "rework", repair=True, toStepNo=10)
    task = client.get("/api/rework-tasks").json()["data"]["items"][0]["id"]
    assert "Bridge at U0" in browser.get(reverse("repair-task", args=[task])).content.decode()


def test_inspected_items_and_holds_tell_their_files(client: APIClient, plant: Plant) -> None:
    item, sampled = inspect(plant), sample(plant)
    hold = client.post("/api/holds", {"scope": "LINE", "code": plant.line.code, "reason": "smoke"}).json()["data"]
    for kind, record_id in (("FAI_ITEM", item.pk), ("OQC_ITEM", sampled.pk), ("HOLD", hold["holdNo"])):
        assert attach(client, kind, record_id, note=f"of {kind}").status_code == 201
    fai = client.get(f"/api/fai/{item.first_article_id}").json()["data"]
    lot = client.get(f"/api/oqc/{sampled.inspection_id}").json()["data"]
    held = client.get(f"/api/holds/{hold['holdNo']}").json()["data"]
    told = [fai["items"][0]["files"], lot["items"][0]["files"], held["files"]]
    assert [[each["title"] for each in files] for files in told] == [["of FAI_ITEM"], ["of OQC_ITEM"], ["of HOLD"]]
    browser = sign_in(Role.QUALITY)
    for kind, page in (
        ("FAI_ITEM", reverse("first-article", args=["RUN-1"])),
        ("OQC_ITEM", reverse("oqc", args=[sampled.inspection_id]) + "?unit=SN-1"),
        ("HOLD", reverse("hold", args=[hold["holdNo"]])),
    ):
        shown = browser.get(page).content.decode()
        assert f"of {kind}" in shown and f'name="recordType" value="{kind}"' in shown


def test_statements_do_not_grow_with_files(client: APIClient, plant: Plant) -> None:
    fail(client)
    asked: list[Callable[[], Any]] = [
        lambda: client.get("/api/defects"),
        lambda: client.get("/api/trace/units/SN-1"),
    ]

    def count() -> list[int]:
        counts = []
        for ask in asked:
            with CaptureQueriesContext(connection) as queries:
                assert ask().status_code == 200
            counts.append(len(queries))
        return counts

    count()
    before = count()
    for defect in [*Defect.objects.all(), *fail(client, "SN-2", codes=3)]:
        for width in range(640, 643):
            attach(client, "DEFECT", defect.pk, photo(client, width))
    assert count() == before
    assert before == [3, 3]  # defects, files, codes; and the trace as ever


# --- attaching and taking away ----------------------------------------------------------------------------


def test_what_is_not_there_is_refused_and_so_is_who_may_not(client: APIClient, plant: Plant) -> None:
    (defect,) = fail(client)
    file_id = photo(client)
    for answer, expected in (
        (attach(client, "UNIT", 1, file_id), (400, "VALIDATION_ERROR")),
        (attach(client, "DEFECT", 10**6, file_id), (404, "DEFECT_NOT_FOUND")),
        (attach(client, "HOLD", "H-x", file_id), (404, "HOLD_NOT_FOUND")),
        (attach(client, "FAI_ITEM", 10**6, file_id), (404, "FAI_NOT_FOUND")),
        (attach(client, "OQC_ITEM", 10**6, file_id), (404, "OQC_NOT_FOUND")),
        (attach(client, "DEFECT", defect.pk, "99999"), (404, "FILE_NOT_FOUND")),
        (attach(api_client(Role.OPERATOR), "FAI_ITEM", inspect(plant).pk, file_id), (403, "PERMISSION_DENIED")),
        (attach(api_client(Role.INTEGRATION), "DEFECT", defect.pk, file_id), (403, "PERMISSION_DENIED")),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert not FileAttachment.objects.exists()


def test_a_record_has_so_many_files(client: APIClient, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    (defect,) = fail(client)
    monkeypatch.setattr(attachments, "MOST", 2)
    first = photo(client)
    answers = [attach(client, "DEFECT", defect.pk, each) for each in (first, photo(client, 9), photo(client, 8), first)]
    assert [answer.status_code for answer in answers] == [201, 201, 422, 200]
    assert answers[2].json()["error"]["code"] == "TOO_MANY_ATTACHMENTS"


def test_a_file_is_taken_away_by_who_attached_it_or_by_quality_and_the_audit_has_it(
    client: APIClient, plant: Plant
) -> None:
    (defect,) = fail(client)
    operator = api_client(Role.OPERATOR)
    sent = [attach(each, "DEFECT", defect.pk, photo(each, width)) for width, each in ((9, operator), (8, client))]
    own, others = (answer.json()["data"]["id"] for answer in sent)
    refused = operator.delete(f"/api/attachments/{others}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert operator.delete(f"/api/attachments/{own}").status_code == 200
    assert operator.delete(f"/api/attachments/{own}").status_code == 404
    quality = api_client(Role.QUALITY)
    assert quality.delete(f"/api/attachments/{others}?changeReason=wrong+board").status_code == 200
    assert not FileAttachment.objects.exists()
    entries = AuditEntry.objects.filter(entity="attachments").order_by("id").values_list("action", "reason")
    assert list(entries)[-1] == ("DELETE", "wrong board") and len(entries) == 4


def sign_fai(record_id: int) -> None:
    FirstArticle.objects.update(signed_at=timezone.now())


def sign_oqc(record_id: int) -> None:
    Signature.objects.create(record_type="OQC", record_id=str(OqcInspection.objects.get().pk), signer="quinn")


def sign_hold(record_id: int) -> None:
    """Of two decisions the first is signed."""
    told: dict[str, Any] = {"hold_id": record_id, "end": "RELEASED", "decided_by": "quinn", "sns": []}
    signed = HoldDecision.objects.create(**told)
    Signature.objects.create(record_type="HOLD", record_id=str(signed.pk), signer="quinn")
    HoldDecision.objects.create(**told)


@pytest.mark.parametrize(("kind", "sign"), [("FAI_ITEM", sign_fai), ("OQC_ITEM", sign_oqc), ("HOLD", sign_hold)])
def test_what_a_record_was_signed_with_is_not_taken_away_nor_offered_to_be(
    client: APIClient, plant: Plant, kind: str, sign: Callable[[int], None]
) -> None:
    if kind == "HOLD":
        body = {"scope": "LINE", "code": plant.line.code, "reason": "smoke"}
        record_id = int(client.post("/api/holds", body).json()["data"]["holdNo"].removeprefix("H-"))
        page = reverse("hold", args=[f"H-{record_id}"])
    elif kind == "FAI_ITEM":
        record_id, page = inspect(plant).pk, reverse("first-article", args=["RUN-1"])
    else:
        item = sample(plant)
        record_id, page = item.pk, f"{reverse('oqc', args=[item.inspection_id])}?unit=SN-1"
    before = attach(client, kind, record_id, photo(client, 9)).json()["data"]["id"]
    browser = sign_in(Role.QUALITY)
    assert reverse("file-detach", args=[before]) in browser.get(page).content.decode()
    sign(record_id)
    later = attach(client, kind, record_id, photo(client, 8)).json()["data"]
    assert later["addedLater"] is True
    shown = browser.get(page).content.decode()
    assert [reverse("file-detach", args=[pk]) in shown for pk in (before, later["id"])] == [False, True]
    refused = client.delete(f"/api/attachments/{before}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "ATTACHMENT_SIGNED")
    assert client.delete(f"/api/attachments/{later['id']}").status_code == 200
    assert [str(pk) for pk in FileAttachment.objects.values_list("pk", flat=True)] == [before]


def test_what_was_signed_stays_as_it_was(client: APIClient, plant: Plant) -> None:
    item = inspect(plant, signed=True)
    before = signed_document.read(item.first_article_id)
    assert attach(client, "FAI_ITEM", item.pk).json()["data"]["addedLater"] is True
    assert signed_document.read(item.first_article_id) == before
    page = sign_in(Role.QUALITY).get(reverse("first-article", args=["RUN-1"])).content.decode()
    assert "added after it was signed" in page


# --- by the form of a page --------------------------------------------------------------------------------


def send_form(browser: Client, defect: Defect, content: bytes, **fields: str) -> Any:
    sent = {"recordType": "DEFECT", "recordId": str(defect.pk), "file": SimpleUploadedFile("a.pdf", content), **fields}
    return browser.post(reverse("file-attach"), sent, follow=True)


def test_the_form_attaches_and_goes_back(client: APIClient, plant: Plant) -> None:
    (defect,) = fail(client)
    browser = sign_in(Role.OPERATOR, "olga")
    answer = send_form(browser, defect, make_pdf(), back="/repair/")
    assert answer.redirect_chain == [("/repair/", 302)] and "is attached" in answer.content.decode()
    assert FileAttachment.objects.get().attached_by == "olga"
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "nowhere"):
        answer = send_form(browser, defect, make_pdf(), back=back)
        assert answer.redirect_chain == [("/trace/units/SN-1/#defects", 302)]
    refused = send_form(browser, defect, b"<html>", back="/repair/")
    assert "The file is not taken" in refused.content.decode()
    missing = browser.post(reverse("file-attach"), {"recordType": "DEFECT", "recordId": str(defect.pk)}, follow=True)
    assert "Send one file" in missing.content.decode()
    assert browser.post(reverse("file-attach"), {"recordType": "DEFECT", "recordId": "9999999"}).status_code == 404
    assert browser.post(reverse("file-attach"), {"recordType": "X", "recordId": "1"}).status_code == 404
    item = {"recordType": "FAI_ITEM", "recordId": str(inspect(plant).pk), "file": SimpleUploadedFile("a", make_pdf())}
    assert "You may not do this." in browser.post(reverse("file-attach"), item, follow=True).content.decode()
    assert FileAttachment.objects.count() == 1
    attachment = FileAttachment.objects.get()
    other = sign_in(Role.OPERATOR, "otto")
    remove = reverse("file-detach", args=[attachment.pk])
    assert "attached this" in other.post(remove, {"back": "/repair/"}, follow=True).content.decode()
    assert browser.post(remove, {"back": "/repair/"}, follow=True).redirect_chain == [("/repair/", 302)]
    assert not FileAttachment.objects.exists()
    assert sign_in(Role.INTEGRATION).post(reverse("file-attach")).status_code == 403
