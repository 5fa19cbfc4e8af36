"""The pages of those who connect machines."""

import json
from typing import Any

import pytest
from django.test import Client

from execution.models import Track
from ingest.mapping.presets import list_presets
from ingest.models import OpenIngestEvent
from mes.platform.accounts.roles import Role
from mes.platform.bulk_actions import services
from mes.platform.bulk_actions.models import BulkAction
from mes.routing.models import RouteExecutionConfig
from tests.factories import api_client, make_user
from tests.ingest.support import PRINTING, IngestPlant, final_test, make_ingest_plant, printed, push

pytestmark = pytest.mark.django_db

PREVIEW, EVENTS = "/ingest/preview/", "/ingest/events/"


@pytest.fixture
def plant() -> IngestPlant:
    return make_ingest_plant()


@pytest.fixture
def opened(plant: IngestPlant) -> dict[str, OpenIngestEvent]:
    """One event that waits and one of each of two refusals."""
    client = api_client()
    push(client, final_test(plant.sns[0]), 202)
    push(client, printed("NOBODY-1"), 404)
    push(client, printed(plant.sns[1], result="perhaps"), 422)
    return {event.error_code: event for event in OpenIngestEvent.objects.all()}


def sign_in(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def preview(plant: IngestPlant, event: Any, **fields: str) -> str:
    text = event if isinstance(event, str) else json.dumps(event)
    body = {"route": plant.version.routing.code, "version": "", "step": "10", "event": text, **fields}
    response = sign_in().post(PREVIEW, body)
    assert response.status_code == 200
    return response.content.decode()


# --- who may ------------------------------------------------------------------------------------------------


def test_everyone_must_sign_in():
    for url in (PREVIEW, EVENTS):
        assert Client().get(url)["Location"].startswith("/sign-in/")


def test_only_those_who_may_change_mappings_preview():
    assert sign_in(Role.OPERATOR).get(PREVIEW).status_code == 403
    assert PREVIEW not in read(sign_in(Role.OPERATOR), "/?lines=all")
    assert f'href="{PREVIEW}"' in read(sign_in(), "/")
    assert sign_in(Role.OPERATOR).get(EVENTS).status_code == 200


# --- preview ------------------------------------------------------------------------------------------------


def test_an_event_that_fits(plant):
    page = preview(plant, printed(plant.sns[0], values=[{"name": "Paste Height", "value": 120, "unit": "µm"}]))
    assert "The mapping fits" in page
    assert f'<mark>&quot;{plant.sns[0]}&quot;</mark> <span class="path-no">' in page
    assert "<mark>120</mark>" in page
    assert not Track.objects.exists()


def test_an_event_that_does_not_fit(plant):
    page = preview(plant, printed("<b>x", result="perhaps"))
    assert "INGEST_PAYLOAD_INVALID" in page
    assert "<b>x" not in page


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "7", '{"payload": 5}', '{"a": "\\u0000"}', "[" * 5000])
def test_whatever_is_pasted_is_answered(plant, text):
    assert 'role="alert"' in (page := preview(plant, text)) or "problem" in page


def test_what_is_too_long_is_said_so(plant):
    assert "larger than 4194304 bytes" in preview(plant, '["' + "x" * 4 * 1024 * 1024 + '"]')


@pytest.mark.parametrize("fields", [{"route": "NONE"}, {"step": "11"}, {"step": "x"}, {"version": "9"}])
def test_choices_that_are_not_there_are_said_so(plant, fields):
    assert 'role="alert"' in preview(plant, printed(plant.sns[0]), **fields)


def test_the_steps_of_a_route_are_offered_when_it_is_chosen(plant):
    part = read(sign_in(), f"{PREVIEW}?route={plant.version.routing.code}", **{"HX-Request": "true"})
    assert "<html" not in part
    assert '<option value="20">20 Aoi (AUTO)</option>' in part


def test_a_sample_of_a_preset_may_be_taken(plant):
    for preset in list_presets():
        assert preset.event["dedupeKey"] in read(sign_in(), f"{PREVIEW}?preset={preset.code}")
    assert sign_in().get(f"{PREVIEW}?preset=none").status_code == 200


def test_a_refused_event_may_be_taken(plant, opened):
    page = read(sign_in(), f"{PREVIEW}?event={opened['INGEST_PAYLOAD_INVALID'].pk}")
    assert "perhaps" in page
    assert "no such event" in read(sign_in(), f"{PREVIEW}?event=999999")
    assert sign_in().get(f"{PREVIEW}?event=x").status_code == 200


def test_a_malformed_body_that_was_kept_may_be_taken(plant):
    api_client().generic("POST", "/api/ingest/events", b"{", content_type="application/json")
    event = OpenIngestEvent.objects.get()
    assert "raw" in read(sign_in(), f"{PREVIEW}?event={event.pk}")
    assert "PARSE_ERROR" in read(sign_in(), EVENTS)


# --- open events ---------------------------------------------------------------------------------------------


def shown(client: Client, query: str = "") -> set[str]:
    page = read(client, f"{EVENTS}?{query}")
    return {event.error_code for event in OpenIngestEvent.objects.all() if f'id="event-{event.pk}"' in page}


def test_open_events_are_listed_and_filtered(plant, opened):
    client = sign_in()
    everything = {"STEP_MISMATCH", "UNIT_NOT_FOUND", "INGEST_PAYLOAD_INVALID"}
    assert set(opened) == everything
    assert shown(client) == everything
    assert shown(client, "status=WAITING") == {"STEP_MISMATCH"}
    assert shown(client, "code=UNIT_NOT_FOUND") == {"UNIT_NOT_FOUND"}
    assert shown(client, "q=NOBODY-1") == {"UNIT_NOT_FOUND"}
    assert shown(client, f"q={plant.sns[0]}") == {"STEP_MISMATCH"}
    assert shown(client, f"q={opened['UNIT_NOT_FOUND'].dedupe_key}") == {"UNIT_NOT_FOUND"}
    assert shown(client, "station=NONE") == set()
    assert shown(client, f"before={min(event.pk for event in opened.values())}") == set()
    assert shown(client, "status=nonsense&before=x") == everything


def test_what_a_form_says_of_all_is_what_it_means(plant, opened):
    """Looking for one event does not make fewer of its cause."""
    push(api_client(), printed("NOBODY-1"), 404)
    for query in ("", f"?q={opened['UNIT_NOT_FOUND'].dedupe_key}", "?code=UNIT_NOT_FOUND"):
        causes = {cause.subject: cause.number for cause in sign_in().get(f"{EVENTS}{query}").context["causes"]}
        assert causes["NOBODY-1"] == 2, query


def test_an_engineer_replays(plant, opened):
    client = sign_in()
    refused = opened["UNIT_NOT_FOUND"]
    response = client.post(f"{EVENTS}{refused.pk}/replay/", {"query": "status=REJECTED"})
    assert (response.status_code, response["Location"]) == (302, f"{EVENTS}?status=REJECTED")
    assert "Still refused" in read(client, EVENTS)
    OpenIngestEvent.objects.filter(pk=refused.pk).update(payload=printed(plant.sns[0]))
    client.post(f"{EVENTS}{refused.pk}/replay/")
    assert "It is applied." in read(client, EVENTS)


def test_an_operator_may_look_but_not_replay(plant, opened):
    client = sign_in(Role.OPERATOR)
    assert "/replay/" not in read(client, EVENTS)
    assert client.post(f"{EVENTS}{opened['UNIT_NOT_FOUND'].pk}/replay/").status_code == 403
    assert sign_in().get(f"{EVENTS}{opened['UNIT_NOT_FOUND'].pk}/replay/").status_code == 405


def test_pages_of_the_list(plant):
    now = OpenIngestEvent(
        received_at="2026-01-01T00:00Z", source_system="X", payload={}, digest=b"", status="REJECTED", error={}
    )
    for number in range(60):
        now.pk, now.dedupe_key = None, f"key-{number}"
        now.save(force_insert=True)
    page = read(sign_in(), EVENTS)
    assert page.count('id="event-') == 50
    assert 'rel="next"' in page


# --- causes -------------------------------------------------------------------------------------------------


def test_causes_come_first_and_are_decided_about_together(plant, opened):
    client = sign_in()
    page = read(client, EVENTS)
    assert page.index("Why they are refused") < page.index('id="event-')
    assert "UNIT_NOT_FOUND" in page and "Try all again" in page and "Dismiss all…" in page
    refused = opened["UNIT_NOT_FOUND"]
    body = {"code": "UNIT_NOT_FOUND", "subject": "NOBODY-1", "stepNo": "", "runNo": "", "stationCode": "PRN-1"}
    body |= {"verb": "DISMISS", "upTo": "2100-01-01T00:00:00+00:00", "reason": "a trial"}
    assert "Nothing was done" in read_after(client, {**body, "reason": " "})
    assert "Nothing was done" in read_after(client, {**body, "upTo": ""})
    assert "1 will be dismissed." in read_after(client, body)
    page = read(client, EVENTS)
    assert 'hx-trigger="every 2s"' in page and "0 of 1" in page
    progress = client.get("/bulk-actions/machine-events/progress/", headers={"HX-Request": "true"})
    assert "HX-Refresh" not in progress.headers
    services.work_off()
    progress = client.get("/bulk-actions/machine-events/progress/", headers={"HX-Request": "true"})
    assert progress.headers["HX-Refresh"] == "true"
    assert not OpenIngestEvent.objects.filter(pk=refused.pk).exists()
    assert "1 dismissed" in read(client, EVENTS)
    assert client.get("/bulk-actions/nothing/progress/").status_code == 404


def read_after(client: Client, body: dict[str, str]) -> str:
    assert client.post(f"{EVENTS}decide/", body).status_code == 302
    return read(client, EVENTS)


def test_what_a_page_asks_for_is_what_it_showed(plant):
    """The fields of its forms mean the events of the row: also those of many subjects, and those of none."""
    client = api_client()
    for number in range(8):
        push(client, {**printed(f"NOBODY-{number}"), "runNo": "RUN-1"}, 404)
    client.post("/api/ingest/events", b"{", content_type="application/json")
    page = sign_in()
    context = page.get(EVENTS).context
    causes = [(cause.code, cause.subject, cause.subjects, cause.number) for cause in context["causes"]]
    assert causes == [("UNIT_NOT_FOUND", None, 8, 8), ("PARSE_ERROR", "", 1, 1)]
    for cause in context["causes"]:
        page.post(f"{EVENTS}decide/", {**cause.fields, "verb": "DISMISS", "reason": "x"})
    assert [action.matched for action in BulkAction.objects.order_by("id")] == [8, 1]
    services.work_off()
    assert "Nothing is refused." in read(page, EVENTS)


def test_an_engineer_dismisses_one(plant, opened):
    client = sign_in()
    url = f"{EVENTS}{opened['UNIT_NOT_FOUND'].pk}/dismiss/"
    client.post(url, {"reason": " "})
    assert "Say why it is dismissed." in read(client, EVENTS)
    client.post(url, {"reason": "a trial"})
    assert "It is dismissed." in read(client, EVENTS)
    client.post(url, {"reason": "a trial"})
    assert OpenIngestEvent.objects.count() == 2
    assert sign_in(Role.OPERATOR).post(url, {"reason": "x"}).status_code == 403
    assert sign_in(Role.OPERATOR).post(f"{EVENTS}decide/", {}).status_code == 403


def test_the_page_takes_the_same_queries_however_many_are_refused(plant, django_assert_max_num_queries):
    client, page = api_client(), sign_in()
    for number in range(12):
        push(client, printed(f"NOBODY-{number}", station=f"PRN-{number % 4}"), None)
    page.get(EVENTS)
    with django_assert_max_num_queries(12):
        page.get(EVENTS)


def test_the_page_says_which_mapping_reads(plant):
    mappings = [{**PRINTING, "when": "payload.kind == 'other'"}, {**PRINTING, "when": "sum(payload.kind)"}, PRINTING]
    RouteExecutionConfig.objects.filter(step_no=10).update(ingest_mapping=mappings)
    page = preview(plant, printed(plant.sns[0], kind="x"), version="live")
    assert "Which mapping reads it" in page
    assert page.count("reads it</span>") == 1
    assert "every event" in page


def test_why_a_cause_is_refused_and_what_mends_it(opened: dict[str, OpenIngestEvent]) -> None:
    client = sign_in()
    api_client().generic("POST", "/api/ingest/events", b"{", content_type="application/json")
    causes = {cause.code: cause for cause in client.get(EVENTS).context["causes"]}
    known, malformed = causes["UNIT_NOT_FOUND"], causes["PARSE_ERROR"]
    shown = read(client, f"{EVENTS}mend/?{known.mend_query}")
    assert 'class="fault"' in shown and "Replay 1" in shown
    assert f"/ingest/mappings/of-event/{known.example_id}/" in shown
    assert "Replay 1" not in read(client, f"{EVENTS}mend/?{malformed.mend_query}")  # nobody knows whose it is
    form = {**known.fields, "example": known.example_id, "anchor": known.anchor, "reason": "registered now"}
    assert client.post(f"{EVENTS}decide/", {**form, "verb": "TRY_ONE"})["Location"].endswith(f"#why-{known.anchor}")
    assert OpenIngestEvent.objects.get(pk=known.example_id).note["reason"] == "registered now"
