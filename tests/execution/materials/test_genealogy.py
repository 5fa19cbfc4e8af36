"""From lot to units and from unit to lots: the same, whichever way it is read, and what a slow reading says."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from execution.materials.contents import read_contents
from execution.materials.models import InstalledSerial
from execution.materials.where_used import CERTAINTY, Passes, Sought, parameters, select_rows, select_units
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools.models import Tool
from mes.plant.models import Material
from mes.production.models import Unit
from tests.execution.materials.support import (
    at,
    bind_list,
    make_load,
    make_lot,
    make_track,
    tell_all,
    use,
)
from tests.factories import Plant, make_plant, make_run

pytestmark = pytest.mark.django_db
BEST = {"POSSIBLE": 1, "SINGLE": 2, "REPORTED": 3}


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=4)


def read_units() -> set[Any]:
    """Read what is in every unit, each by itself."""
    found = set()
    for unit in Unit.objects.all():
        for row in read_contents(unit):
            thing = f"serial {row.serial}" if row.serial else row.lot_id or row.tool_id or f"program {row.program}"
            found.add((unit.pk, row.slot, thing, row.certainty))
    return found


def find_units(sought: Sought) -> set[Any]:
    passes = Passes()
    statement = f"""{select_rows(passes)}
        SELECT f.unit_id, f.slot, k.lot_id, o.tool_id, f.program, f.serial, f.rank FROM found f
          LEFT JOIN mes_materiallot k ON k.id = f.lot_id LEFT JOIN mes_tool o ON o.id = f.tool_id"""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters(sought))
        rows = cursor.fetchall()
        cursor.execute(select_units(passes), parameters(sought))
        assert {row[0] for row in rows} == {unit_id for (unit_id,) in cursor.fetchall()}
    return {
        (unit, slot, f"serial {serial}" if serial else lot or tool or f"program {program}", CERTAINTY[rank])
        for unit, slot, lot, tool, program, serial, rank in rows
    }


def find_all() -> set[Any]:
    """Find where each thing is that there is, each by itself."""
    found = set()
    for lot in MaterialLot.objects.all():
        found |= find_units(Sought(lot_ids=[lot.pk]))
    for tool in Tool.objects.all():
        found |= find_units(Sought(tool_ids=[tool.pk]))
    for program in ("P1", "P2"):
        found |= find_units(Sought(programs=[program]))
    for serial in set(InstalledSerial.objects.values_list("serial", flat=True)):
        found |= find_units(Sought(serials=[serial]))
    return found


def named(rows: set[Any]) -> set[Any]:
    """Return what was told slowly with the names of lots and tools."""
    lots = dict(MaterialLot.objects.values_list("pk", "lot_id"))
    tools = dict(Tool.objects.values_list("pk", "tool_id"))
    names = {f"lot {pk}": name for pk, name in lots.items()} | {f"tool {pk}": name for pk, name in tools.items()}
    return {(unit, slot, names.get(thing, thing), certainty) for unit, slot, thing, certainty in rows}


def best(rows: set[Any]) -> set[Any]:
    """Return for each unit, slot and thing the best that is known."""
    known: dict[Any, str] = {}
    for *where, certainty in rows:
        known[tuple(where)] = max(certainty, known.get(tuple(where), "POSSIBLE"), key=BEST.__getitem__)
    return {(*where, certainty) for where, certainty in known.items()}


# --- anything that may be ----------------------------------------------------------------------------------------


def make_anything(plant: Plant, seed: int) -> None:
    """Make a random plant: changes, splices, gaps, tools, programs, lists, reports, splits, assemblies."""
    chance = random.Random(seed)
    parts = [Material.objects.create(code=f"PART-{number}", name="x") for number in range(3)]
    lots = [make_lot(material=chance.choice([*parts, None])) for _number in range(6)]
    lots += [make_lot(material=lots[0].material, parent=lots[0], split_at=at(0))]
    tools = [Tool.objects.create(tool_id=f"T-{number}", kind="STENCIL") for number in range(2)]
    stations = [plant.stations["SMT-01"], plant.stations["REF-01"]]
    runs = [plant.run, make_run(plant.version, plant.line, run_no="RUN-2", sns=["SN-8", "SN-9"])]
    for _number in range(14):
        since = at(chance.randrange(0, 2600))
        until = chance.choice([since, since + timedelta(minutes=chance.choice([1, 5, 60, 1500, 3000]))])
        what = chance.choice([{"lot": chance.choice(lots)}] * 4 + [{"tool": chance.choice(tools)}, {"program": "P1"}])
        if chance.random() < 0.25:
            make_load(since, until, slot=chance.choice(["STENCIL", "OTHER"]), line=plant.line, **what)
        else:
            make_load(since, until, slot=chance.choice("12"), station=chance.choice(stations), **what)
    make_load(at(chance.randrange(2000)), slot="3", station=stations[0], lot=lots[1], feeder=tools[1])
    for run in runs:
        for _number in range(chance.choice([0, 1, 2])):
            slots = {station: chance.sample(["1", "2", "3"], 2) for station in stations}
            bind_list(run, slots, at(chance.randrange(2600)), parts[0])
    units = list(Unit.objects.order_by("id"))
    for unit in units:
        for number in range(chance.choice([1, 2, 3])):
            since = at(chance.randrange(2600))
            until = since + timedelta(minutes=chance.choice([0, 1, 5, 200, 1440, 2000]))
            track = make_track(
                unit,
                chance.choice(stations),
                since,
                None if number == 0 and chance.random() < 0.3 else until,
                operation_code=chance.choice(["PRINT", "REFLOW"]),
                is_entry_inferred=chance.random() < 0.2,
                is_time_doubtful=chance.random() < 0.2,
            )
            if chance.random() < 0.3:
                lot = chance.choice(lots)
                use(track, lot, slot=chance.choice(["", "1", "2"]), ref_des=chance.choice(["", "R1"]))
                if chance.random() < 0.4:
                    use(track, lot, is_removed=True, used_at=since + timedelta(minutes=chance.choice([-1, 1])))
    for number, (inner, outer) in enumerate([(units[0], units[1]), (units[1], units[2]), (units[3], units[2])]):
        InstalledSerial.objects.create(
            unit=outer, serial=inner.sn, child=inner, material=parts[0], station=stations[0],
            installed_at=at(2700), removed_at=at(2800) if chance.random() < 0.3 else None,
        )  # fmt: skip
        InstalledSerial.objects.create(unit=inner, serial=f"S-{number}", material=parts[1], station=stations[0])


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_say_what_a_slow_reading_says(plant, seed):
    make_anything(plant, seed)
    told = named(tell_all())
    assert {row[3] for row in told} >= {"SINGLE"}, "nothing is in anything"
    read = read_units()
    without_feeders = {row for row in find_all() if not (row[1] == "3" and row[2] == "T-1")}
    assert read == told
    assert best(without_feeders) == best(told)
