"""Files that are sent: kept once, described, and served so that nothing in them does anything."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mes.errors import StoredFileNotFound
from mes.platform.accounts.roles import Role
from mes.platform.database import retention
from mes.platform.files import hooks, services
from mes.platform.files.models import FileAttachment, StoredFile, StoredFilePart
from tests.factories import api_client, make_user
from tests.platform.files.support import claim_pixels, make_pdf, make_picture, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    return api_client(Role.OPERATOR)


def sign_in(role: Role | None = Role.OPERATOR) -> Client:
    browser = Client()
    browser.force_login(make_user(role))
    return browser


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_file_is_kept_once_by_its_content(client: APIClient) -> None:
    answer = send(client, make_picture(), "Photo 1.png", "image/gif")
    data = answer.json()["data"]
    assert (answer.status_code, data["name"], data["mediaType"]) == (201, "Photo 1.png", "image/png")
    assert (data["width"], data["height"], data["address"]) == (640, 480, f"/files/{data['id']}/")
    again = send(client, make_picture(), "other.png")
    assert (again.status_code, again.json()["data"]) == (200, data)
    assert client.get(f"/api/files/{data['id']}").json()["data"] == data
    assert StoredFile.objects.count() == StoredFilePart.objects.count() == 1


def test_a_large_file_is_kept_in_parts_and_read_whole(client: APIClient, settings: Any) -> None:
    content = make_pdf(text="x" * (2 * services.PART + 5))
    data = send(client, content).json()["data"]
    assert StoredFilePart.objects.filter(file=data["id"]).count() == 3
    read = client.get(f"/api/files/{data['id']}/content")
    assert (read.content, read["Content-Type"], data["size"]) == (content, "application/pdf", len(content))
    settings.MES_FILE_LIMIT = len(content) - 1
    assert error_of(send(client, content)) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    "content", [b"<html><script>alert(1)</script></html>", b"", claim_pixels(20_000, 10_000), make_picture()[:-30]]
)
def test_what_is_no_pdf_png_or_jpeg_is_refused_whatever_it_says(client: APIClient, content: bytes) -> None:
    answer = send(client, content, "plan.pdf", "application/pdf")
    assert error_of(answer) == (422, "FILE_TYPE_REFUSED")
    assert not StoredFile.objects.exists()


def test_forms_that_are_none_are_refused(client: APIClient) -> None:
    for body in ({}, {"other": "x"}, {"file": "text"}):
        assert error_of(client.post("/api/files", body, format="multipart")) == (400, "VALIDATION_ERROR")
    assert client.post("/api/files", {"file": "x"}).status_code == 415
    assert client.post("/api/files", b"--x", content_type="multipart/form-data; boundary=x").status_code == 400
    assert error_of(client.get("/api/files/17")) == (404, "FILE_NOT_FOUND")
    assert error_of(client.get("/api/files/none/content")) == (404, "FILE_NOT_FOUND")


@pytest.mark.parametrize("role", [Role.INTEGRATION])
def test_those_who_do_not_work_send_none(role: Role) -> None:
    assert send(api_client(role), make_pdf()).status_code == 403
    assert not StoredFile.objects.exists()


def test_a_file_is_served_as_what_it_is_and_able_to_do_nothing(client: APIClient) -> None:
    pk = send(client, make_pdf(), 'Plan "ä".html').json()["data"]["id"]
    browser = sign_in()
    for answer in (browser.get(f"/files/{pk}/"), client.get(f"/api/files/{pk}/content")):
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
        assert answer["Content-Disposition"] == "inline; filename*=utf-8''Plan%20_%C3%A4_.html.pdf"
        directives = answer["Content-Security-Policy"].split("; ")
        assert {"sandbox", "default-src 'none'", "frame-ancestors 'self'"} <= set(directives)
        assert (answer["X-Content-Type-Options"], answer["X-Frame-Options"]) == ("nosniff", "SAMEORIGIN")
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["Cache-Control"].startswith("private")
        assert answer["ETag"].strip('"') == StoredFile.objects.get().sha256
    again = browser.get(f"/files/{pk}/", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_pages_of_files_are_for_those_who_are_signed_in(client: APIClient) -> None:
    pk = send(client, make_picture(), "a.png").json()["data"]["id"]
    assert Client().get(f"/files/{pk}/").status_code == 302
    browser = sign_in()
    assert browser.get("/files/999/").status_code == browser.get(f"/files/{2**63}/").status_code == 404
    small = browser.get(f"/files/{pk}/thumbnail/")
    assert (small["Content-Type"], "sandbox" in small["Content-Security-Policy"]) == ("image/jpeg", True)
    document = send(client, make_pdf()).json()["data"]["id"]
    assert browser.get(f"/files/{document}/thumbnail/").status_code == 404


def test_reading_a_file_takes_few_statements(client: APIClient, django_assert_num_queries: Any) -> None:
    pk = send(client, make_picture(), "a.png").json()["data"]["id"]
    browser = sign_in()
    browser.get(f"/files/{pk}/")
    with django_assert_num_queries(5):  # session, person, file; parts by a cursor
        assert browser.get(f"/files/{pk}/").status_code == 200
    with django_assert_num_queries(4):  # no part
        assert browser.get(f"/files/{pk}/", headers={"If-None-Match": "*"}).status_code == 304


def test_who_sends_more_in_a_day_than_is_used_is_stopped(client: APIClient, settings: Any) -> None:
    settings.MES_FILE_QUOTA = 2 * len(make_pdf(text="0"))
    sent = [send(client, make_pdf(text=str(number))) for number in range(3)]
    assert [answer.status_code for answer in sent] == [201, 201, 422]
    assert sent[-1].json()["error"]["code"] == "FILE_QUOTA_EXCEEDED"
    assert send(client, make_pdf(text="0")).status_code == 200, "it is kept already"
    assert send(api_client(Role.QUALITY), make_pdf(text="4")).status_code == 201, "others go on"
    FileAttachment.objects.create(file=StoredFile.objects.earliest("pk"), record_type="DEFECT", record_id=1)
    assert send(client, make_pdf(text="5")).status_code == 201, "one is used now"
    StoredFile.objects.update(uploaded_at=timezone.now() - timedelta(days=1))
    assert send(client, make_pdf(text="6")).status_code == 201


def test_what_nothing_uses_goes_in_time(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pks = [int(send(client, make_pdf(text=str(number))).json()["data"]["id"]) for number in range(4)]
    used, unused, wanted, fresh = pks
    monkeypatch.setattr(hooks, "file_uses", [lambda: Q(pk=used)])
    StoredFile.objects.exclude(pk=fresh).update(wanted_at=timezone.now() - timedelta(days=31))
    send(client, make_pdf(text="2"))  # again
    assert retention.run().rows == {"files": 1}
    assert set(StoredFile.objects.values_list("pk", flat=True)) == {used, wanted, fresh}
    assert not StoredFilePart.objects.filter(file=unused).exists()
    with pytest.raises(StoredFileNotFound):
        services.keep([used, unused])


def test_administrators_look_at_files(client: APIClient) -> None:
    pk = send(client, make_picture(), "a.png").json()["data"]["id"]
    browser = sign_in(Role.ADMIN)
    assert "a.png" in browser.get("/admin/mes/storedfile/").content.decode()
    page = browser.get(f"/admin/mes/storedfile/{pk}/change/").content.decode()
    assert f'href="/files/{pk}/"' in page and 'name="_save"' not in page
