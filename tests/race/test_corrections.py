"""A unit is scrapped while its run ends: whichever is first, the ERP knows the truth in the end."""

import threading

import pytest
from django.db import connection, transaction

from execution import dispositions
from integration.outbound import completion
from mes.platform.outbox.models import MesEvent
from mes.production.models import Run, Unit
from tests.factories import api_client, make_plant
from tests.integration.outbound.conftest import close, erp, make_done

__all__ = ["erp"]


@pytest.mark.django_db(transaction=True)
def test_a_scrap_that_the_end_of_its_run_did_not_see_is_corrected(erp):
    make_plant(units=1)
    make_done(Unit.objects.get())
    scrapped, ended = threading.Event(), threading.Event()

    def scrap() -> None:
        try:
            with transaction.atomic():
                dispositions.scrap_unit(sn="SN-1", reason="cracked", by="me")
                scrapped.set()
                ended.wait(30)
        finally:
            connection.close()

    scrapping = threading.Thread(target=scrap)
    scrapping.start()
    assert scrapped.wait(30)
    close(api_client())
    ended.set()
    scrapping.join(30)
    told = MesEvent.objects.get(event_type="OUTBOUND_FEEDBACK").payload["unitCounts"]
    assert (told["DONE"], told["SCRAPPED"]) == (1, 0), "the end did not wait for it"
    event = MesEvent.objects.get(event_type="RUN_COUNTS_CHANGED")
    assert event.status == "PENDING", "it is due, though the run was open when the unit was scrapped"
    with transaction.atomic():
        completion.correct([event])
    correction = MesEvent.objects.filter(event_type="OUTBOUND_FEEDBACK").latest("id").payload
    assert (correction["correctionNo"], correction["unitCounts"]["SCRAPPED"]) == (1, 1)
    assert Run.objects.get().correction_no == 1
