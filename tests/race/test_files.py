"""The same content sent at once is one file; a file that the night takes is not taken into use, nor the other way."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from rest_framework.test import APIClient

from mes.platform.files import services
from mes.platform.files.models import StoredFile, StoredFilePart
from tests.integration.helpers import another, at_once
from tests.platform.files.support import make_picture, send

TIMES = 8


def send_at_once(person: APIClient) -> list[int]:
    content = make_picture()
    return sorted(at_once(lambda: send(another(person), content, "a.png").status_code, times=TIMES))


def test_the_same_content_sent_at_once_is_kept_once(person: APIClient) -> None:
    assert send_at_once(person) == [200] * (TIMES - 1) + [201]
    assert (StoredFile.objects.count(), StoredFilePart.objects.count()) == (1, 1)


def test_control_without_the_constraint_it_is_kept_again(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, without_constraint: Callable[..., AbstractContextManager[None]]
) -> None:
    plain = services._INSERT.replace("ON CONFLICT (sha256) DO UPDATE SET wanted_at = EXCLUDED.wanted_at", "")
    monkeypatch.setattr(services, "_INSERT", plain)
    with without_constraint(StoredFile, "stored_file_content_once"):
        assert send_at_once(person) == [201] * TIMES
        assert StoredFile.objects.count() == TIMES
