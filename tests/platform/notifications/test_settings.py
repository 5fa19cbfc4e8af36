"""The mail server of the environment, and what stops the start."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from mes.settings import _mail_server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("smtp://mail.example", ("mail.example", 25, "", "", False, False)),
        ("smtp+tls://ann%40plant:p%3Aw@mail.example", ("mail.example", 587, "ann@plant", "p:w", True, False)),
        ("smtps://mail.example:4650/", ("mail.example", 4650, "", "", False, True)),
    ],
)
def test_an_address_names_a_server(text, expected):
    assert (tuple(_mail_server(text).values()) or {}) == expected


@pytest.mark.parametrize(
    "text", ["mail.example", "imap://x:geheim@y", "smtp://", "smtp://x:geheim@y:0", "smtp://[::1", "smtp://y:x"]
)
def test_a_bad_one_stops_the_start_without_being_shown(text):
    with pytest.raises(ImproperlyConfigured) as refusal:
        _mail_server(text)
    assert "EMAIL_URL" in str(refusal.value) and "geheim" not in str(refusal.value)
