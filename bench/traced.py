"""Units that have a history, made once when a case first asks for them. Imported when Django is set up.

Each passed ten steps, eight of them at machines that sent an event, two by hand, and has ten values of each: of a
machine's step, half came with the event and half in a device data record; of a step by hand all in a record.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from bench.case import BenchError, Plant
from bench.plant import MAPPING, make_step, start_run
from execution import tracking
from mes.plant.models import Line, Operation, OperationKind, StationType
from mes.production import runs
from mes.production.models import Run, Unit
from mes.routing.models import Routing
from mes.specs.models import DataCollectionSpec
from mes.time_rules.choices import EntityType
from mes.time_rules.models import InstanceStatus, TimeRuleDefinition, TimeRuleInstance

UNITS, STEPS, VALUES = 200, 10, 10  # values of each step
BY_HAND = {4, 10}  # of the steps
RUN, TEMPLATE = "BENCH-TRACED", "BENCH-TRACED-TEMPLATE"
SNS = [f"TRACED-{number:04}" for number in range(UNITS)]
HUNDREDS = [list(enumerate(SNS))[:100], list(enumerate(SNS))[100:]]  # a request each


def make_once(plant: Plant) -> None:
    """Make the units, unless they are there. Raises BenchError for what is refused."""
    if Unit.objects.filter(sn=SNS[0]).exists():
        return
    _make_route(Line.objects.get(code="BENCH"))
    runs.register_units(run_no=RUN, sns=SNS)
    client = Client(headers={"Authorization": f"Bearer {plant.token}", "Host": "127.0.0.1"})
    began = timezone.now().astimezone(UTC) - timedelta(hours=3)
    for place in range(1, STEPS + 1):
        at = began + timedelta(minutes=10 * place)
        _pass_by_hand(place, at) if place in BY_HAND else _pass_machine(client, place, at)
        _send_readings(client, place, at)
    _start_clocks(began)


def _make_route(line: Line) -> None:
    routing = Routing.objects.create(code=RUN, name="Traced", product_code="TRACED")
    for place in range(1, STEPS + 1):
        kind, mapping = (StationType.MANUAL, None) if place in BY_HAND else (StationType.AUTO, MAPPING)
        make_step(line, routing, 10 * place, f"TRACED-{place}", kind, mapping, operation_kind=OperationKind.ASSEMBLE)
        DataCollectionSpec.objects.bulk_create(
            DataCollectionSpec(
                operation=Operation.objects.get(code=f"TRACED-{place}"),
                name=name,
                item_type="KEY",
                data_type="NUMBER",
                method="AUTO",
                unit="µm",
                lsl=80,
                target=120,
                usl=160,
            )
            for name in _names(place)
        )
    start_run(line, routing, RUN, TEMPLATE)


def _names(place: int) -> list[str]:
    return [f"Offset {place}-{number}" for number in range(1, VALUES + 1)]


def _pass_by_hand(place: int, at: datetime) -> None:
    where: Any = {"run_no": RUN, "station_code": f"BENCH-TRACED-{place}", "operator": "OP-7", "by": "bench"}
    for number, sn in enumerate(SNS):
        tracking.track_in(sn=sn, at=at + _own(number), **where)
        tracking.track_out(sn=sn, at=at + _own(number) + timedelta(minutes=1), result="PASS", **where)


def _own(number: int) -> timedelta:
    """Return by how much the times of a unit differ from those of the first."""
    return timedelta(seconds=number / 4)


def _numbers(number: int, names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the numbers that are measured of a unit, no two alike: within the limits of 80 and 160."""
    return [(name, 100 + number / 8 + place / 128) for place, name in enumerate(names)]


def _pass_machine(client: Client, place: int, at: datetime) -> None:
    for units in HUNDREDS:
        events = [
            {
                "dedupeKey": f"{sn}-{place}",
                "sourceSystem": "BENCH",
                "eventType": "AUTO",
                "occurredAt": (at + _own(number)).isoformat(),
                "payload": {
                    "sn": sn,
                    "station": f"BENCH-TRACED-{place}",
                    "result": "OK",
                    "values": [
                        {"name": name, "value": value, "unit": "µm"}
                        for name, value in _numbers(number, _names(place)[: VALUES // 2])
                    ],
                },
            }
            for number, sn in units
        ]
        _send(client, "/api/ingest/events/batch", events)


def _send_readings(client: Client, place: int, at: datetime) -> None:
    names = _names(place)[0 if place in BY_HAND else VALUES // 2 :]
    for units in HUNDREDS:
        events = [
            {
                "eventId": f"{sn}-{place}",
                "eventTime": (at + _own(number)).isoformat(),
                "source": "AUTO",
                "runNo": RUN,
                "unitSn": sn,
                "stationCode": f"BENCH-TRACED-{place}",
                "stepNo": 10 * place,
                "equipmentId": f"MACHINE-{place}",
                "data": [
                    {"specName": name, "valueNumber": value, "collectedAt": (at + _own(number)).isoformat()}
                    for name, value in _numbers(number, names)
                ],
            }
            for number, sn in units
        ]
        _send(client, "/api/integration/device-data/batch", events)


def _send(client: Client, path: str, events: Sequence[dict[str, Any]]) -> None:
    answer = client.post(path, {"events": events}, content_type="application/json")
    if sum(answer.content.count(status) for status in (b'"status":"APPLIED"', b'"status":"CREATED"')) != len(events):
        raise BenchError(f"{path} answered {answer.status_code} {answer.content[:1500]!r}")


def _start_clocks(began: datetime) -> None:
    """Give each unit a clock that ended in time and one that runs, as the worker would have."""
    run = Run.objects.get(run_no=RUN)
    rules = [
        TimeRuleDefinition.objects.create(
            code=code, name=code, duration_minutes=600, start_event="TRACK_OUT", end_event="TRACK_IN"
        )
        for code in ("BENCH-OPEN-TIME", "BENCH-WASH-TIME")
    ]
    TimeRuleInstance.objects.bulk_create(_clocks(run, rules, began))


def _clocks(run: Run, rules: Sequence[TimeRuleDefinition], began: datetime) -> Iterator[TimeRuleInstance]:
    for sn in SNS:
        for rule, ended in zip(rules, (began + timedelta(hours=1), None), strict=True):
            yield TimeRuleInstance(
                definition=rule,
                definition_code=rule.code,
                entity_type=EntityType.UNIT,
                entity_id=sn,
                run=run,
                line_id=run.line_id,
                status=InstanceStatus.COMPLETED if ended else InstanceStatus.ACTIVE,
                duration_minutes=rule.duration_minutes,
                warning_minutes=0,
                start_key=f"bench-{sn}",
                started_at=began,
                expires_at=began + timedelta(minutes=rule.duration_minutes or 0),
                ended_at=ended,
                ending="END" if ended else "",
            )
