"""Sample units of a first article pass every machine before their run is authorized; other units do not."""

import pytest

from execution.models import Track
from execution.quality.first_article import services
from execution.quality.first_article.models import FirstArticleSample
from mes.production.models import Run, Unit
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, final_test, inspected, make_ingest_plant, printed, reflowed
from tests.ingest.test_batch import BY_POSITION, boards

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """A run in preparation."""
    return make_ingest_plant(authorize=False)


def inspect(sample_qty: int) -> None:
    """Have the run's first article inspected."""
    fai = services.create(run_no="RUN-1", sample_qty=sample_qty, by="somebody")
    services.start(fai_id=fai.pk, by="somebody")


def test_a_sample_unit_passes_every_machine(plant: IngestPlant, send: Send, refuse: Send) -> None:
    refuse(printed(plant.sns[0]), "RUN_IN_PREP", 409)
    inspect(sample_qty=1)
    sn = plant.sns[0]
    send(printed(sn), 201)
    send(inspected(sn, "start"), 201)
    send(inspected(sn, "end"), 201)
    send(reflowed("C-1", [sn]), 201)
    send(final_test(sn), 201)
    assert Unit.objects.get(sn=sn).status == "DONE"
    tracks = Track.objects.order_by("id").values_list("step_no", "is_trial")
    assert list(tracks) == [(10, True), (20, True), (30, True), (40, True)]
    assert Run.objects.get(run_no="RUN-1").status == "PREP"
    refuse(printed(plant.sns[1]), "RUN_IN_PREP", 409)


def test_a_carrier_with_more_units_than_samples_is_refused_whole(plant: IngestPlant, send: Send, refuse: Send) -> None:
    inspect(sample_qty=2)
    for sn in plant.sns[:2]:
        Unit.objects.filter(sn=sn).update(current_step_no=30)
    Unit.objects.filter(sn=plant.sns[2]).update(current_step_no=30)
    refuse(reflowed("C-1", plant.sns), "RUN_IN_PREP", 409)
    assert not Track.objects.exists()
    send(reflowed("C-1", plant.sns[:2]), 201)
    assert set(Track.objects.values_list("unit__sn", "is_trial")) == {(sn, True) for sn in plant.sns[:2]}


def test_a_new_unit_may_be_the_sample(db: None, send: Send, refuse: Send) -> None:
    make_ingest_plant(units=0, authorize=False)
    inspect(sample_qty=1)
    send({**printed("NEW-1"), "runNo": "RUN-1"}, 201)
    refuse({**printed("NEW-2"), "runNo": "RUN-1"}, "RUN_IN_PREP", 409)
    assert Track.objects.get().is_trial


def test_a_unit_that_a_partial_batch_leaves_out_is_no_sample(db: None, send: Send) -> None:
    plant = make_ingest_plant(authorize=False, reflow={**BY_POSITION, "batchPolicy": "PARTIAL"})
    one, two, _three = plant.sns
    Unit.objects.update(current_step_no=30)
    inspect(sample_qty=1)
    wrong = [{"name": "Peak Temperature", "value": "hot"}]
    answer = send(boards("C-1", {"sn": one, "values": wrong}, {"sn": two}), 201)
    assert answer["skipped"] == [{"sn": one, "code": "DATA_TYPE_MISMATCH"}]
    assert list(FirstArticleSample.objects.values_list("unit__sn", flat=True)) == [two]
