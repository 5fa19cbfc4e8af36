"""The live parts of the start page and of a run: quiet while nothing changes, and told of everything that they show."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from execution import dispositions, tracking
from execution.models import DataValue, Track
from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit, WorkOrder
from mes.readiness.models import CheckKind
from mes.readiness.services import make_check
from mes.routing.compilation import compile_route
from tests.factories import Plant, make_line, make_plant, make_run, make_user, put_runs
from tests.trace.test_reports import hour_of, keep, machine

LIVE = {"HX-Request": "true"}
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')  # masked anew each time


@dataclass(frozen=True)
class LivePart:
    """What a live part shows, and where it asks for news of it."""

    address: str
    html: str

    @classmethod
    def of(cls, answer: HttpResponse) -> "LivePart":
        assert answer.status_code == 200
        head, _trigger, html = answer.content.decode().partition(" hx-trigger=")
        return cls(head.partition('hx-get="')[2].strip('"').replace("&amp;", "&"), TOKEN.sub("", html))

    def ask(self, client: Client) -> "LivePart | None":
        """Return what it is told now; None where it is told nothing."""
        answer = client.get(self.address, headers=LIVE)
        return None if answer.status_code == 204 else LivePart.of(answer)


def read(client: Client, page: str) -> LivePart:
    return LivePart.of(client.get(page, headers=LIVE))


def pass_step(sn: str, station: str, result: str) -> None:
    tracking.track_in(run_no="RUN-1", sn=sn, station_code=station)
    tracking.track_out(run_no="RUN-1", sn=sn, station_code=station, result=result)


def add_failing_value(plant: Plant) -> None:
    track = Track.objects.get(unit__sn="SN-2")
    DataValue.objects.create(
        received_at=timezone.now(),
        unit=track.unit,
        run=plant.run,
        track=track,
        spec=plant.peak,
        step_no=10,
        operation_code="PRINT",
        name="Peak Temperature",
        item_type="KEY",
        value_number=300,
        usl=250,
        judge="FAIL",
        source="AUTO",
        collected_at=timezone.now(),
    )


def compile_again(plant: Plant) -> None:
    plant.routing.sn_masks = ["SN-#"]
    plant.routing.save()
    compile_route(code=plant.routing.code)


CHANGES: dict[str, tuple[int, Callable[[Plant], object]]] = {  # by how many of the two pages each is told
    "a unit enters": (2, lambda plant: tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="SMT-01")),
    "it leaves": (
        2,
        lambda plant: tracking.track_out(run_no="RUN-1", sn="SN-1", station_code="SMT-01", result="PASS"),
    ),
    "a unit fails": (2, lambda plant: pass_step("SN-2", "SMT-01", "FAIL")),
    "a value failed it": (1, add_failing_value),
    "a unit is held": (2, lambda plant: dispositions.hold_unit(sn="SN-1", reason="scratched", by="anna")),
    "for another reason": (1, lambda plant: Unit.objects.filter(sn="SN-1").update(hold_reason="dropped")),
    "another run begins": (1, lambda plant: make_run(plant.version, plant.line, run_no="RUN-2", sns=["SN-9"])),
    "the run is held": (2, lambda plant: put_runs("ON_HOLD")),
    "another product": (2, lambda plant: WorkOrder.objects.update(product_code="BOARD-9")),
    "more is planned": (2, lambda plant: Run.objects.update(plan_qty=300)),
    "the line is named": (1, lambda plant: Line.objects.update(name="The new one")),
    "a line is built": (2, lambda plant: make_line("SMT-Z")),
    "a first article fails": (1, lambda plant: Run.objects.update(is_first_article_failed=True)),
    "machines count": (1, lambda plant: keep(machine(plant.run, plant), [hour_of(date(2026, 3, 10), 7, 10, 10)])),
    "and count more": (1, lambda plant: keep(machine(plant.run, plant), [hour_of(date(2026, 3, 10), 8, 5, 5)])),
}
BEFORE_THE_RUN: dict[str, Callable[[Plant], object]] = {
    "it is checked": lambda plant: make_check(run_no="RUN-1", kind=CheckKind.PRECHECK, by="anna"),
    "its route is compiled": compile_again,
}


@pytest.fixture
def client(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Somebody who is signed in, in a minute that does not end."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    client = Client()
    client.force_login(make_user(Role.SUPERVISOR))
    return client


def test_live_parts_are_told_of_what_they_show_and_are_quiet_else(client: Client) -> None:
    plant = make_plant()
    shown = {page: read(client, page) for page in ("/", "/trace/runs/RUN-1/")}
    for name, (count, change) in CHANGES.items():
        change(plant)
        told = {page: part.ask(client) for page, part in shown.items()}
        for page in (page for page, part in told.items() if part is None):
            assert read(client, page) == shown[page], f"{page} is not told that {name}"
        shown |= {page: part for page, part in told.items() if part is not None}
        assert sum(part is not None for part in told.values()) >= count, name
    assert [part.ask(client) for part in shown.values()] == [None, None]


@pytest.mark.parametrize("name", BEFORE_THE_RUN)
def test_the_part_of_a_run_in_preparation_is_told_that(client: Client, name: str) -> None:
    plant = make_plant(authorize=False)
    shown = read(client, "/trace/runs/RUN-1/")
    assert shown.ask(client) is None
    BEFORE_THE_RUN[name](plant)
    told = shown.ask(client)
    assert told is not None and told.html != shown.html


def test_how_long_ago_it_was_is_told_by_the_minute(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plant()
    pass_step("SN-1", "SMT-01", "PASS")
    shown = read(client, "/")
    assert "just now" in shown.html
    later = timezone.now() + timedelta(minutes=3)
    monkeypatch.setattr(timezone, "now", lambda: later)
    told = shown.ask(client)
    assert told is not None and "3 min ago" in told.html
