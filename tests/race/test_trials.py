"""The last place of a sample: of many units at once, one gets it."""

from collections.abc import Callable

from rest_framework.test import APIClient

from execution.models import Track
from execution.quality.first_article import services
from execution.quality.first_article.models import FirstArticleSample
from tests.integration.helpers import at_once
from tests.readiness.support import make_unready_plant


def test_of_many_units_at_once_as_many_run_as_samples_are_asked_for(person: APIClient) -> None:
    plant = make_unready_plant(units=8)
    fai = services.create(run_no="RUN-1", sample_qty=2, by="somebody")
    services.start(fai_id=fai.pk, by="somebody")

    def scan(sn: str) -> Callable[[], int]:
        return lambda: person.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": sn}).status_code

    answers = at_once(*(scan(sn) for sn in plant.sns))
    assert sorted(answers) == [201, 201] + [409] * 6
    assert Track.objects.filter(is_trial=True).count() == FirstArticleSample.objects.count() == 2
