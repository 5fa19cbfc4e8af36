"""The editor of mappings: what is typed is tried, kept as an example, saved with a reason."""

import json
from typing import Any

import pytest
from django.test import Client

from ingest.mapping.json_lines import find_lines
from ingest.mapping.presets import list_presets
from ingest.mapping.vocabulary import FUNCTIONS, KEYS
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.routing.mapping_problems import ANY_TYPE_KEYS, PARTS
from mes.routing.models import MappingExample, RouteExecutionConfig
from mes.routing.paths import FUNCTIONS as KNOWN_FUNCTIONS
from tests.factories import api_client, make_user
from tests.ingest.support import PRINTING, IngestPlant, make_ingest_plant, printed, push

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> IngestPlant:
    return make_ingest_plant(only=10)


@pytest.fixture
def config(plant: IngestPlant) -> RouteExecutionConfig:
    return RouteExecutionConfig.objects.get(routing=plant.version.routing, step_no=10)


def browser(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def address(config: RouteExecutionConfig, more: str = "") -> str:
    return f"/ingest/mappings/{config.pk}/{more}"


def typed(mapping: Any, event: Any = "", **fields: str) -> dict[str, str]:
    texts = {"mapping": mapping, "event": event}
    return {
        name: text if isinstance(text, str) else json.dumps(text, indent=1) for name, text in texts.items()
    } | fields


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return " ".join(answer.content.decode().split())


def test_the_page_shows_the_mapping_and_the_events_of_its_step(plant, config, django_assert_max_num_queries):
    push(api_client(Role.INTEGRATION), printed("NOBODY-1"))
    event = OpenIngestEvent.objects.get()
    client = browser()
    client.get(address(config))
    with django_assert_max_num_queries(22):
        shown = text_of(client.get(address(config, f"?event={event.pk}&step=10")))
    assert "payload.sn" in shown
    assert "NOBODY-1" in shown
    assert f'value="event={event.pk}"' in shown
    found = client.get(f"/ingest/mappings/of-event/{event.pk}/")
    assert found["Location"].startswith(("/ingest/preview/", address(config)))
    answer = client.get(address(config, f"event/?event={event.pk}"))
    assert json.loads(answer.json()["event"])["payload"]["sn"] == "NOBODY-1"
    assert browser(Role.OPERATOR).get(address(config)).status_code == 403


def test_an_applied_event_opens_the_mapping_that_read_it(plant, config):
    push(api_client(Role.INTEGRATION), printed(plant.sns[0]))
    event, client = SettledIngestEvent.objects.get(), browser()
    assert f'value="event={event.pk}"' in text_of(client.get(address(config)))
    route = plant.version.routing.code
    found = client.get(f"/ingest/mappings/of-event/{event.pk}/")
    assert found["Location"] == address(config, f"?event={event.pk}&step=10&route={route}")


def test_what_is_typed_is_tried_and_nothing_is_stored(plant, config):
    client, event = browser(), printed(plant.sns[0], values=[{"name": "Paste Height", "value": 170, "unit": "µm"}])
    shown = text_of(client.post(address(config, "try/"), typed(PRINTING, event)))
    assert "May be saved" in shown
    assert plant.sns[0] in shown
    assert "Paste Height" in shown
    wrong = text_of(client.post(address(config, "try/"), typed({**PRINTING, "snPath": "payload.["}, event)))
    assert 'data-line="2"' in wrong
    assert "May be saved" not in wrong
    for broken, line in (('{\n "snPath": }', 2), ("{", 1), ('{"a": 1}\n\n x', 3)):
        assert f'data-line="{line}"' in text_of(client.post(address(config, "try/"), typed(broken, event)))
    for odd in ("[" * 500, "1" + "0" * 400, "[]", "5", "null", '"x"', "{}"):
        assert client.post(address(config, "try/"), typed(odd, odd)).status_code == 200
    assert RouteExecutionConfig.objects.get(pk=config.pk).ingest_mapping == PRINTING


def test_an_example_is_kept_and_held_against_what_is_typed(plant, config):
    client, event = browser(), printed(plant.sns[0])
    kept = text_of(client.post(address(config, "examples/"), typed(PRINTING, event, name="A pass")))
    assert "passes" in kept
    example = MappingExample.objects.get()
    assert (example.name, example.expected["units"][0]["sn"]) == ("A pass", plant.sns[0])
    wrong = {**PRINTING, "snPath": "payload.station"}
    shown = text_of(client.post(address(config, "try/"), typed(wrong, event)))
    assert "units.0.sn" in shown
    state = client.get(address(config)).context["state"]
    more = client.post(address(config, "examples/"), typed(PRINTING, event, name="Another", read_state=state))
    assert more.context["state"] == client.get(address(config)).context["state"] != state
    late = client.post(address(config, "examples/"), typed(PRINTING, event, name="Late", read_state=state))
    assert late.context["state"] is None  # others changed it since: the form must not take that for read
    MappingExample.objects.exclude(pk=example.pk).delete()
    again = text_of(client.post(address(config, "examples/"), typed(PRINTING, event, name="A pass")))
    assert "has this name" in again
    assert "Give the example a name" in text_of(client.post(address(config, "examples/"), typed(PRINTING, event)))
    one = f"examples/{example.pk}/"
    client.post(address(config, one), typed(wrong, event, act="anew"))
    example.refresh_from_db()
    assert example.expected["units"][0]["sn"] == "PRN-1"
    client.post(address(config, one), typed(wrong, event, act="delete"))
    assert not MappingExample.objects.exists()
    assert "Somebody else deleted it" in text_of(client.post(address(config, one), typed(wrong, event, act="delete")))


def test_saving_needs_a_reason_and_the_state_that_was_read(plant, config):
    client = browser()
    state = client.get(address(config)).context["state"]
    changed = {**PRINTING, "waitSeconds": 5}
    refused = text_of(client.post(address(config), typed(changed, read_state=state)))
    assert "needs a reason" in refused
    assert "waitSeconds" in refused
    answer = client.post(address(config), typed(changed, read_state=state, change_reason="the board is late"))
    assert answer.status_code == 302
    config.refresh_from_db()
    assert config.ingest_mapping == changed
    assert AuditEntry.objects.filter(entity="execution-configs").latest("id").reason == "the board is late"
    late = {**PRINTING, "waitSeconds": 7}
    conflict = client.post(address(config), typed(late, read_state=state, change_reason="another"))
    assert "Somebody else changed this" in text_of(conflict)
    assert "&quot;waitSeconds&quot;: 7" in conflict.content.decode()
    config.refresh_from_db()
    assert config.ingest_mapping == changed
    again = typed(late, read_state=conflict.context["state"], change_reason="another")
    assert client.post(address(config), again).status_code == 302


def test_a_preset_brings_its_events_as_examples(config):
    client = browser()
    preset = next(preset for preset in list_presets() if preset.code == "cfx-units-inspected")
    offered = client.get(address(config, f"event/?preset={preset.code}")).json()
    assert json.loads(offered["mapping"]) == preset.mapping
    state = client.get(address(config)).context["state"]
    body = typed(preset.mapping, preset.event, preset=preset.code, keep_preset="1", read_state=state)
    assert client.post(address(config), body | {"change_reason": "CFX"}).status_code == 302
    assert set(config.examples.values_list("name", flat=True)) == {one.name for one in preset.examples}
    assert all("code" not in example.expected for example in config.examples.all())


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.code)
def test_every_example_of_a_preset_is_read_by_its_mapping(preset):
    names = [example.name for example in preset.examples]
    assert len(set(names)) == len(names)
    assert len(json.dumps(preset.event)) < 64 * 1024


def test_each_key_and_function_is_told_and_no_other():
    keys = ANY_TYPE_KEYS | {key for part in PARTS.values() for key in part}
    assert set(KEYS) == keys
    assert set(FUNCTIONS) == set(KNOWN_FUNCTIONS)


def test_lines_are_those_of_the_text():
    text = '[\n {"a": {\n  "b,}": [1,\n 2]},\n "a": "x\\"y"},\n 5\n]'
    assert find_lines(text) == {"": 1, "0": 2, "0.a": 2, "0.a.b,}": 3, "0.a.b,}.0": 3, "0.a.b,}.1": 4, "1": 6}
