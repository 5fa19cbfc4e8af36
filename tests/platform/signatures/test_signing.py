"""Signing by name and password: who may, what is refused and how often, and what nobody gets to see."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from execution import labels
from execution.models import FirstArticle, FirstArticleItem
from mes.platform.accounts.hashers import HashingBusy
from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import AttemptCount, Counted
from mes.platform.signatures import services
from mes.platform.signatures.models import Signature
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused
from tests.execution.test_first_article import act, begin, make_fai_plant
from tests.factories import api_client, make_user

PASSWORD = "correct horse, battery – staple "


@pytest.fixture
def quinn(db: None) -> User:
    return make_person("quinn", first_name="Quinn", last_name="Quality")


@pytest.fixture
def passed(db: None) -> dict[str, Any]:
    """A first article that passed and is not signed."""
    make_fai_plant()
    inspector = api_client(Role.QUALITY)
    fai = begin(inspector)
    return assert_done(act(inspector, fai, "complete", decision="PASS"))


def make_person(name: str, role: Role = Role.QUALITY, **fields: Any) -> User:
    person = make_user(role, username=name, **fields)
    person.set_password(PASSWORD)
    person.save()
    return person


def session(person: User) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(person)
    return client


def given(username: str = "quinn", password: str = PASSWORD, meaning: str = "Approved") -> dict[str, Any]:
    return {"username": username, "password": password, "meaning": meaning}


def sign(client: Any, fai: dict[str, Any], signature: Any = None, **body: Any) -> Any:
    body |= {} if signature is None else {"signature": signature}
    return client.post(f"/api/fai/{fai['id']}/sign", body, **in_json(client))


def in_json(client: Any) -> dict[str, str]:
    return {"content_type": "application/json"} if type(client) is Client else {}


def unsigned(fai: dict[str, Any]) -> bool:
    return not Signature.objects.exists() and FirstArticle.objects.get(pk=fai["id"]).signed_at is None


def test_a_person_signs_with_name_and_password(quinn, passed):
    answer = assert_done(sign(session(quinn), passed, given(), remark="fine"))
    signature = answer["signature"]
    assert (answer["signed"], answer["isSigned"], answer["signedBy"], answer["signRemark"]) == (
        True,
        True,
        "quinn",
        "fine",
    )
    assert (signature["signer"], signature["printedName"], signature["meaning"]) == (
        "quinn",
        "Quinn Quality",
        "Approved",
    )
    reader = api_client(Role.OPERATOR)
    whole = assert_done(reader.get(f"/api/signatures/{signature['id']}"))
    assert (whole["recordType"], whole["recordId"]) == ("FAI", passed["id"])
    assert (whole["intact"], whole["unchanged"]) == (True, True)
    assert services.digest(whole["document"]) == whole["sha256"]
    assert '"signedBy":"quinn"' in whole["document"] and PASSWORD not in whole["document"]
    listed = assert_done(reader.get(f"/api/signatures?recordType=FAI&recordId={passed['id']}"))
    assert [each["id"] for each in listed["items"]] == [signature["id"]]
    assert not assert_done(reader.get("/api/signatures?recordType=OQC"))["items"]
    with CaptureQueriesContext(
        connection,
    ) as one:
        row = assert_done(reader.get("/api/fai"))["items"][0]
    assert row["signature"] == signature and row["signed"] is True
    assert len([each for each in one.captured_queries if "mes_signature" in each["sql"]]) == 1
    for unknown in ("0", "99999", "9" * 30, "x"):
        assert_refused(reader.get(f"/api/signatures/{unknown}"), "SIGNATURE_NOT_FOUND", 404)
    station = api_client(Role.OPERATOR, ["SMT-01"])
    assert station.get("/api/signatures").status_code == station.get(f"/api/signatures/{signature['id']}").status_code
    assert station.get("/api/signatures").status_code == 403


def test_what_is_asked_of_whom(quinn, passed, settings):
    person, token = session(quinn), api_client(Role.QUALITY)
    make_person("other")
    make_person("olga", Role.OPERATOR)
    make_person("ines", is_active=False)
    assert_refused(sign(person, passed), "SIGNATURE_REQUIRED")
    assert_refused(sign(person, passed, given("other")), "SIGNER_MISMATCH")
    assert not AttemptCount.objects.filter(failures__gt=0).exists()  # nothing was checked
    assert_refused(sign(person, passed, given(password="wrong")), "SIGNATURE_REFUSED", 403)
    for who in ("olga", "ines", "nobody", "Quinn"):
        assert_refused(sign(token, passed, given(who)), "SIGNATURE_REFUSED", 403)
    settings.MES_SIGNATURES = "STRICT"
    assert_refused(sign(token, passed), "SIGNATURE_REQUIRED")
    assert unsigned(passed)
    answer = assert_done(sign(token, passed, given(" quinn ")))
    assert (answer["signed"], answer["signedBy"], answer["signature"]["signer"]) == (True, "quinn", "quinn")


def test_a_token_may_act_without_and_that_is_told(passed):
    answer = assert_done(sign(api_client(Role.QUALITY), passed))
    assert (answer["isSigned"], answer["signed"], answer["signature"]) == (True, False, None)
    FirstArticle.objects.update(lacks_signature=False)  # as one that was signed before signatures were asked for
    answer = assert_done(api_client().get(f"/api/fai/{passed['id']}"))
    assert (answer["isSigned"], answer["signed"], answer["signature"]) == (True, True, None)


def test_what_is_malformed_is_told_without_what_was_typed(quinn, passed):
    person, secret = session(quinn), "s3cret-that-is-mine"
    for wrong, field in (
        ({**given(), "password": ""}, "signature.password"),
        ({**given(), "password": secret * 300}, "signature.password"),
        ({**given(), "password": 7}, "signature.password"),
        ({**given(), "password": [secret]}, "signature.password"),
        ({**given(), "password": f"{secret}\0"}, "signature.password"),
        ({"username": "quinn", "meaning": "x"}, "signature.password"),
        ({**given(), "username": "q" * 151}, "signature.username"),
        ({**given(), "meaning": " "}, "signature.meaning"),
        ({**given(), "meaning": "two\nlines"}, "signature.meaning"),
        ({**given(), "pin": secret}, "signature.pin"),
        (secret, "signature"),
    ):
        answer = sign(person, passed, wrong)
        assert answer.status_code == 400 and secret not in answer.content.decode(), wrong
        assert any(place.startswith(field) for place in answer.json()["error"]["details"]), answer.json()
    surrogate = person.post(
        f"/api/fai/{passed['id']}/sign",
        '{"signature": {"username": "quinn", "password": "\\ud800", "meaning": "x"}}',
        content_type="application/json",
    )
    assert surrogate.status_code in (400, 403)
    assert_refused(sign(person, passed, given(password="пароль 密码 🔑")), "SIGNATURE_REFUSED", 403)
    assert unsigned(passed)


# --- guessing -------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let time go on."""
    real, ahead = timezone.now, [timedelta()]
    monkeypatch.setattr(timezone, "now", lambda: real() + ahead[0])

    def go_on(**duration: float) -> None:
        ahead[0] += timedelta(**duration)
        AttemptCount.objects.exclude(label__endswith="(signature)").update(blocked_until=None)

    yield go_on


def test_the_fifth_failure_locks_signing_for_a_quarter_of_an_hour(quinn, passed, clock):
    person, token = session(quinn), api_client(Role.QUALITY)
    with capture_logs() as logs:
        for _time in range(5):
            assert_refused(sign(person, passed, given(password="wrong guess")), "SIGNATURE_REFUSED", 403)
        clock(seconds=1)
        locked = sign(person, passed, given())
    details = assert_refused(locked, "SIGN_ON_LOCKED", 429)
    assert 890 < details["seconds"] <= 900 and locked["Retry-After"] == str(details["seconds"])
    assert_refused(sign(token, passed, given()), "SIGN_ON_LOCKED", 429)  # from anywhere, whoever sends it
    assert unsigned(passed) and "wrong guess" not in str(logs) and PASSWORD not in str(logs)
    # They were guesses at the password, too.
    counted = AttemptCount.objects.get(counted=Counted.BOTH)
    assert (counted.label, counted.failures) == ("quinn, 127.0.0.1", 5)
    clock(seconds=900)
    assert assert_done(sign(person, passed, given()))["signed"] is True
    assert AttemptCount.objects.get(label="quinn (signature)").failures == 0


def test_guesses_that_are_sent_at_once_do_not_pass_together(quinn, passed, monkeypatch):
    """While a password is looked at, its attempt is counted already: the sixth is not even looked at."""
    person, looked_at, answers = session(quinn), [], []
    check = services.authenticate

    def guess_meanwhile(**given_: Any) -> Any:
        looked_at.append(given_["password"])
        if len(looked_at) < 20:
            answers.append(sign(person, passed, given(password=f"guess {len(looked_at)}")))
        return check(**given_)

    monkeypatch.setattr(services, "authenticate", guess_meanwhile)
    assert_refused(sign(person, passed, given(password="guess 0")), "SIGNATURE_REFUSED", 403)
    assert looked_at == [f"guess {number}" for number in range(5)]
    assert sorted(answer.status_code for answer in answers) == [403, 403, 403, 403, 429] and unsigned(passed)


def test_failures_are_forgotten_after_a_quarter_of_an_hour(quinn, passed, clock):
    person = session(quinn)
    for _time in range(4):
        assert_refused(sign(person, passed, given(password="wrong")), "SIGNATURE_REFUSED", 403)
    clock(minutes=16)
    assert_refused(sign(person, passed, given(password="wrong")), "SIGNATURE_REFUSED", 403)
    assert_done(sign(person, passed, given()))


def test_a_delayed_sign_in_delays_signing_and_counts_no_signature(quinn, passed):
    person = session(quinn)
    for _time in range(6):
        Client().post("/sign-in/", {"username": "quinn", "password": "wrong"})
    details = assert_refused(sign(person, passed, given()), "SIGN_ON_LOCKED", 429)
    assert 0 < details["seconds"] <= 60
    assert not AttemptCount.objects.filter(label__endswith="(signature)", failures__gt=0).exists()


def test_who_gets_no_turn_to_be_checked_is_told_to_come_again(quinn, passed, monkeypatch):
    def busy(**_given: Any) -> None:
        raise HashingBusy

    monkeypatch.setattr(services, "authenticate", busy)
    answer = sign(session(quinn), passed, given())
    assert_refused(answer, "TRY_AGAIN", 503)
    assert answer["Retry-After"] == "2"
    assert not AttemptCount.objects.filter(failures__gt=0).exists() and unsigned(passed)


def test_an_unknown_name_costs_as_much_as_a_known_one(quinn, passed, monkeypatch):
    from django.contrib.auth import hashers

    hashed: list[str] = []
    encode = hashers.MD5PasswordHasher.encode
    monkeypatch.setattr(
        hashers.MD5PasswordHasher,
        "encode",
        lambda self, password, salt: hashed.append(password) or encode(self, password, salt),
    )
    token = api_client(Role.QUALITY)
    for name in ("quinn", "nobody"):
        hashed.clear()
        assert_refused(sign(token, passed, given(name, "wrong")), "SIGNATURE_REFUSED", 403)
        assert hashed == ["wrong"], name


# --- what was signed ------------------------------------------------------------------------------------------


def test_who_changes_the_database_is_seen(quinn, passed):
    person, unit = session(quinn), Unit.objects.earliest("id")
    FirstArticleItem.objects.create(
        first_article_id=passed["id"], unit=unit, item_name="Look", result="PASS", recorded_by="sue"
    )
    number = assert_done(sign(person, passed, given()))["signature"]["id"]

    def told() -> tuple[bool, bool]:
        whole = assert_done(person.get(f"/api/signatures/{number}"))
        page = person.get(f"/signatures/{number}/").content.decode()
        assert ("The document is as it was signed." in page) == whole["intact"]
        assert ("The record still says what was signed." in page) == whole["unchanged"]
        return whole["intact"], whole["unchanged"]

    assert told() == (True, True)
    page = person.get(f"/signatures/{number}/").content.decode()
    assert "Run number" in page and "Sample SNs" in page and "Unit SN" in page
    labels.relabel(sn=unit.sn, new_sn="NEW-1", reason="label lost", by="sue")  # what was signed says the earlier number
    assert told() == (True, True)
    with connection.cursor() as cursor:
        for forbidden in (
            "UPDATE mes_signature SET meaning = 'x'",
            "DELETE FROM mes_signature",
            "TRUNCATE mes_signature CASCADE",
        ):
            cursor.execute("SAVEPOINT before")
            with pytest.raises(Exception, match="mes_signature"):
                cursor.execute(forbidden)
            cursor.execute("ROLLBACK TO SAVEPOINT before")
        FirstArticle.objects.update(decision_remark="it was not so fine")
        assert told() == (True, False)
        cursor.execute("SET LOCAL session_replication_role = replica")  # as a superuser would
        cursor.execute("UPDATE mes_signature SET document = replace(document, '\"sampleQty\":1', '\"sampleQty\":9')")
        assert told() == (False, False)
        cursor.execute("UPDATE mes_signature SET document = 'gone'")
        assert told() == (False, False)
        cursor.execute("UPDATE mes_signature SET record_id = '999999999999999999999'")
        assert told() == (False, False)
        cursor.execute("UPDATE mes_signature SET record_type = 'UNKNOWN'")
        assert told() == (False, False)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert person.get("/signatures/999999/").status_code == 404
    assert person.get(f"/signatures/{'9' * 40}/").status_code == 404


# --- the form -------------------------------------------------------------------------------------------------


def test_the_form_asks_for_the_password_and_never_gives_it_back(quinn, passed):
    person, page = session(quinn), "/first-articles/RUN-2/"
    html = person.get(page).content.decode()
    assert 'autocomplete="current-password"' in html and 'value="quinn" readonly autocomplete="username"' in html
    secret = "  not the right one "
    form = {"signature.username": "quinn", "signature.password": secret, "signature.meaning": "Reviewed"}
    answer = person.post(f"{page}sign/", {**form, "remark": "my remark"}, follow=True)
    html = answer.content.decode()
    assert "The name or the password is wrong" in html and "my remark" in html and "Reviewed" in html
    assert "not the right one" not in html and "not the right one" not in str(dict(person.session))
    assert "Say" not in html and unsigned(passed)
    html = person.post(f"{page}sign/", {**form, "signature.password": ""}, follow=True).content.decode()
    assert "This field is required." in html and unsigned(passed)
    html = person.post(
        f"{page}sign/", {**form, "signature.username": "other", "signature.password": PASSWORD}, follow=True
    ).content.decode()
    assert "is not who is signed in" in html and unsigned(passed)
    html = person.post(f"{page}sign/", {**form, "signature.password": PASSWORD}, follow=True).content.decode()
    number = Signature.objects.get().pk
    assert f"/signatures/{number}/" in html and "Reviewed" in html
    printed = person.get(f"/signatures/{number}/").content.decode()
    assert "Quinn Quality" in printed and page in printed and Signature.objects.get().sha256 in printed
