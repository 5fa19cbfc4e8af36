"""Which units a condition is about, and what is refused of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierTrack, CarrierTrackUnit, DataValue, Defect, DefectCode, Track
from execution.quality.models import DefectStatus
from mes.platform.accounts.roles import Role
from mes.production.identity_models import UnitAlias
from mes.production.models import Unit, UnitStatus
from tests.execution.support import assert_done, assert_refused
from tests.factories import Plant, api_client, make_plant, make_run

SIX = datetime(2026, 3, 2, 6, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return SIX + timedelta(minutes=minutes)


class Shift:
    """A morning at the plant: six units, each through some stations, told step by step."""

    def __init__(self) -> None:
        self.plant = make_plant(units=6)
        make_run(self.plant.version, self.plant.line, run_no="RUN-2", sns=["SN-8"])
        UnitAlias.objects.create(sn="OLD-1", unit=self.unit(1))
        self.pass_("SN-1", "SMT-01", 10, 0, 5)
        self.pass_("SN-1", "REF-01", 20, 10, 20, peak=249)
        self.pass_("SN-2", "SMT-01", 10, 0, 5, result="FAIL")
        self.pass_("SN-2", "REF-01", 20, 30, 40, peak=240)
        self.pass_("SN-3", "REF-01", 20, 50, None)  # in the oven still
        self.carry("SN-4", "REF-01", 20, 60, 70, peak=251)
        self.pass_("SN-5", "REF-01", 20, 60, 70, peak=251)
        Unit.objects.filter(sn="SN-5").update(status=UnitStatus.SCRAPPED)
        self.find_defects()

    def unit(self, number: int) -> Unit:
        return self.plant.units[number - 1]

    def pass_(
        self,
        sn: str,
        station: str,
        step: int,
        since: float,
        until: float | None,
        *,
        result: str = "PASS",
        **peak: float,
    ) -> Track:
        unit = Unit.objects.get(sn=sn)
        track = Track.objects.create(
            unit=unit,
            run=unit.run,
            step_no=step,
            operation_code={10: "PRINT", 20: "REFLOW"}[step],
            station=self.plant.stations[station],
            source="MANUAL",
            in_at=at(since),
            out_at=None if until is None else at(until),
            result="" if until is None else result,
        )
        for value in peak.values():
            self.measure(value, unit=unit, track=track)
        return track

    def carry(self, sn: str, station: str, step: int, since: float, until: float, *, peak: float) -> None:
        track = self.pass_(sn, station, step, since, until)
        tray = Carrier.objects.create(carrier_no="TRAY-1")
        carried = CarrierTrack.objects.create(
            carrier=tray, run=track.run, step_no=step, operation_code="REFLOW", in_at=track.in_at, out_at=track.out_at
        )
        CarrierTrackUnit.objects.create(carrier_track=carried, track=track)
        self.measure(peak, carrier_track=carried)

    def measure(self, value: float, **of: Any) -> None:
        DataValue.objects.create(
            received_at=SIX,
            spec=self.plant.peak,
            operation_code="REFLOW",
            name="Peak Temperature",
            item_type="KEY",
            value_number=value,
            source="AUTO",
            collected_at=SIX,
            **of,
        )

    def find_defects(self) -> None:
        solder = DefectCode.objects.create(code="T-SOLDER", name="Solder")
        DefectCode.objects.create(code="T-BRIDGE", name="Bridge", parent=solder)
        for number, code, status, location in (
            (1, "T-BRIDGE", DefectStatus.OPEN, "R5"),
            (2, "T-BRIDGE", DefectStatus.FALSE_CALL, "R5"),
            (3, "T-SOLDER", DefectStatus.WITHDRAWN, "R5"),
            (3, "T-SOLDER", DefectStatus.REPAIRED, "C1"),
            (4, "ODD", DefectStatus.OPEN, "R5"),
        ):
            Defect.objects.create(
                unit=self.unit(number),
                run=self.plant.run,
                step_no=20,
                code=code,
                location=location,
                status=status,
                found_at=SIX,
            )


PEAK = {"specName": "Peak Temperature"}
FITS: list[tuple[dict[str, Any], str]] = [
    ({"sns": ["SN-2", "OLD-1", "SN-1"]}, "1 2"),
    ({"runNo": "RUN-1"}, "1 2 3 4 6"),
    ({"woNo": "WO-RUN-2"}, "8"),
    ({"productCode": "BOARD-1", "lineCode": "SMT-A"}, "1 2 3 4 6 8"),
    ({"statuses": ["QUEUED", "DONE"], "runNo": "RUN-1"}, "1 2 3 4 6"),
    ({"stationCode": "SMT-01"}, "1 2"),
    ({"stationCode": "SMT-01", "result": "FAIL"}, "2"),
    ({"stepNo": 20, "operationCode": "REFLOW"}, "1 2 3 4"),
    # One and the same pass: SN-2 failed at the printer, not in the oven.
    ({"stationCode": "REF-01", "result": "FAIL"}, ""),
    ({"stationCode": "SMT-01", **PEAK}, ""),
    ({"carrierNo": "TRAY-1"}, "4"),
    ({"carrierNo": "TRAY-1", "stationCode": "SMT-01"}, ""),
    # In the window: it began before the end, and had not ended before the beginning.
    ({"stationCode": "REF-01", "from": at(20), "to": at(30)}, "1"),
    ({"stationCode": "REF-01", "from": at(20.1), "to": at(30.1)}, "2"),
    ({"stationCode": "REF-01", "from": at(1000)}, "3"),
    ({"stationCode": "REF-01", "to": at(10)}, ""),
    # Values of the pass or its carrier's, bounds in.
    (PEAK, "1 2 4"),
    ({**PEAK, "valueMin": 249}, "1 4"),
    ({**PEAK, "valueMin": 240, "valueMax": 249}, "1 2"),
    ({**PEAK, "valueMin": 249, "stationCode": "REF-01", "from": at(60)}, "4"),
    ({**PEAK, "valueMax": 239.9}, ""),
    # Of the tree, and what is no defect of the board.
    ({"defectCode": "T-SOLDER"}, "1 3"),
    ({"defectCode": "T-BRIDGE"}, "1"),
    ({"defectCode": "ODD"}, "4"),
    ({"defectLocation": "r5"}, "1 4"),
    ({"defectCode": "T-SOLDER", "defectLocation": "C1"}, "3"),
    ({"defectCode": "T-SOLDER", "stationCode": "SMT-01"}, "1"),
]  # fmt: skip
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "condition"),
    ({"runNo": None}, "condition"),
    ({"sns": []}, "sns"),
    ({"sns": ["SN-1", "SN-99"]}, "sns"),
    ({"sns": [f"X{n}" for n in range(10_001)]}, "sns"),
    ({"runNo": "RUN-9"}, "runNo"),
    ({"woNo": "WO-9"}, "woNo"),
    ({"runNo": "RUN-1", "woNo": "WO-RUN-2"}, "woNo"),
    ({"productCode": "P-9"}, "productCode"),
    ({"lineCode": "L-9"}, "lineCode"),
    ({"statuses": []}, "statuses"),
    ({"statuses": ["SCRAPPED"]}, "statuses"),
    ({"statuses": ["LOST"]}, "statuses"),
    ({"stationCode": "S-9"}, "stationCode"),
    ({"operationCode": "O-9"}, "operationCode"),
    ({"stepNo": -1}, "stepNo"),
    ({"result": "MAYBE"}, "result"),
    ({"carrierNo": "TRAY-9"}, "carrierNo"),
    ({"from": at(5), "to": at(5)}, "from"),
    ({"from": "2026-03-02T06:00:00"}, "from"),
    ({"specName": "Peak"}, "specName"),
    ({"specName": "Peak Temperature", "operationCode": "PRINT"}, "specName"),
    ({"valueMin": 1}, "valueMin"),
    ({"valueMax": 1, "runNo": "RUN-1"}, "valueMax"),
    ({**PEAK, "valueMin": 2, "valueMax": 1}, "valueMin"),
    ({"defectCode": "T-NONE"}, "defectCode"),
    ({"colour": "red"}, "colour"),
]


@pytest.fixture
def quality(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def preview(client: APIClient, condition: dict[str, Any]) -> Any:
    sent = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in condition.items()}
    return client.post("/api/holds/preview", {"condition": sent})


def test_each_part_is_asked_and_all_of_a_pass_of_one_pass(quality: APIClient) -> None:
    Shift()
    for condition, expected in FITS:
        found = assert_done(preview(quality, condition))
        assert " ".join(item["sn"].removeprefix("SN-") for item in found["items"]) == expected, condition
        assert found["count"] == len(found["items"])
    Unit.objects.filter(sn="SN-1").update(status="ON_HOLD", held_from="DONE")
    found = assert_done(preview(quality, {"lineCode": "SMT-A"}))
    assert found["byStatus"] == {"ON_HOLD": 1, "QUEUED": 5}
    assert found["byRun"] == {"RUN-1": 5, "RUN-2": 1}
    assert found["alreadyHeld"] == 1
    assert found["items"][0] == {"sn": "SN-1", "status": "ON_HOLD", "runNo": "RUN-1", "stepNo": 10}


def test_what_says_nothing_or_cannot_be_is_refused_by_its_name(quality: APIClient, plant_of_two: Plant) -> None:
    make_run(plant_of_two.version, plant_of_two.line, run_no="RUN-2")
    for condition, field in REFUSED:
        details = assert_refused(preview(quality, condition), "VALIDATION_ERROR", 400)
        assert field in str(details), (condition, details)
    assert preview(api_client(Role.OPERATOR), {"runNo": "RUN-1"}).status_code == 403


@pytest.fixture
def plant_of_two(db: None) -> Plant:
    return make_plant()
