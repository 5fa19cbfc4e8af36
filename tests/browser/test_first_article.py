"""The page of a first article in a browser: a number is judged as it is typed, and one that fails holds its unit."""

from playwright.sync_api import expect

from execution.models import FirstArticle, FirstArticleItem
from mes.platform.accounts.roles import Role
from mes.platform.signatures.models import Signature
from mes.production.hold_models import Hold
from mes.production.models import Unit
from tests.browser.conftest import Look, SignIn, at
from tests.execution.test_first_article import begin
from tests.execution.test_first_article_items import FREE, HEIGHT, SPEED, make_limits_plant, run_through
from tests.factories import api_client

PAGE = "/first-articles/RUN-2/"


def test_a_first_article_with_a_number_that_fails(sign_in: SignIn, look: Look) -> None:
    make_limits_plant(HEIGHT, SPEED, FREE)
    begin(api_client(Role.QUALITY))
    run_through(up_to=10)
    page = sign_in(Role.QUALITY, PAGE)
    at(page, 390, "light")
    look()
    expect(page.get_by_text("after step 20 REFLOW is passed")).to_be_visible()
    number, said = page.get_by_label("What Paste height is"), page.locator(".judge-typed").first
    for typed, verdict in (("140,5", "within the limits"), ("99.9", "outside the limits"), ("12 x", "no number")):
        number.fill(typed)
        expect(said).to_have_text(verdict)
    page.keyboard.press("Enter")
    expect(page.get_by_text("“12 x” is no number.")).to_be_visible()
    assert not FirstArticleItem.objects.exists()
    page.get_by_label("What Paste height is").fill("150")
    at(page, 1280, "dark")
    look()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Recorded: Paste height – Fail.")).to_be_visible()
    assert FirstArticleItem.objects.get().actual_number == 150
    page.locator("summary", has_text="It failed").click()
    page.get_by_label("Remark (optional)").last.fill("too much paste")
    page.get_by_role("button", name="Decide: failed").click()
    number = Hold.objects.get().pk
    expect(page.get_by_role("heading", name=f"Case {number} holds its units")).to_be_visible()
    expect(page.get_by_text("release, rework or scrap them")).to_be_visible()
    assert Unit.objects.get(sn="A").status == "ON_HOLD"
    look()
    # The way out: the next one, which passes and is signed by password.
    page.get_by_role("button", name="Create and start").click()
    expect(page.get_by_text("Being inspected")).to_be_visible()
    FirstArticle.objects.filter(status="INSPECTING").update(status="PASSED", started_by="ines", completed_by="ines")
    page.reload()
    page.locator("summary", has_text="Sign").click()
    page.get_by_label("Your password").fill("wrong")
    page.get_by_role("button", name="Sign the first article").click()
    expect(page.get_by_text("may not sign this")).to_be_visible()
    assert page.get_by_label("Your password").input_value() == ""
    at(page, 390, "dark")
    look()
    page.get_by_label("Your password").fill("secret")
    page.get_by_role("button", name="Sign the first article").click()
    page.get_by_role("link", name="Approved").click()
    expect(page.get_by_text("The record still says what was signed.")).to_be_visible()
    assert Signature.objects.get().signer == "b-quality"
    look()
