"""Files in a real browser: shown, and what is in them does nothing; photos and instructions are added by forms."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from execution.models import Defect
from mes.platform.accounts.roles import Role
from mes.platform.files.models import FileAttachment, StoredFile, StoredFilePart
from mes.routing.models import RouteExecutionConfig
from tests.browser.conftest import Look, SignIn, at
from tests.execution.support import assert_done, track_in, track_out
from tests.factories import api_client, make_plant
from tests.platform.files.support import make_pdf, make_picture, send

RED, GREEN = (255, 0, 0), (0, 128, 0)
SCRIPT = "app.alert(1); this.getURL('/leak-1'); app.launchURL('/leak-2', true); this.submitForm('/leak-3');"


def shows(page: Page, colour: tuple[int, int, int]) -> bool:
    """Whether much of the page has this colour, within some seconds: a viewer takes a while."""
    for _attempt in range(40):
        with Image.open(io.BytesIO(page.screenshot())) as shot:
            found = {each: count for count, each in shot.convert("RGB").getcolors(2**24) or ()}
        if found.get(colour, 0) > 10_000:
            return True
        page.wait_for_timeout(100)
    return False


def keep(content: bytes, media_type: str, number: int) -> str:
    """Keep what would not have been taken; return its address."""
    size = {"width": None, "height": None} if media_type == "application/pdf" else {"width": 1, "height": 1}
    file = StoredFile.objects.create(
        sha256=f"{number:064d}", media_type=media_type, size=len(content), name="x", **size
    )
    StoredFilePart.objects.create(file=file, number=0, content=content)
    return f"/files/{file.pk}/"


def test_a_pdf_and_a_picture_are_shown_by_themselves(sign_in: SignIn) -> None:
    client = api_client(Role.ENGINEER)
    sent = {colour: send(client, content) for colour, content in ((RED, make_pdf()), (GREEN, make_picture()))}
    page = sign_in(Role.OPERATOR)
    for colour, answer in sent.items():
        page.goto(answer.json()["data"]["address"])
        assert shows(page, colour)


def test_what_is_in_a_file_does_nothing(sign_in: SignIn, context: BrowserContext) -> None:
    """Scripts of a PDF that nobody saw, and a page that was taken for a picture."""
    html = b"<script>document.title='ran'; fetch('/leak-4')</script><img src=/leak-5>"
    addresses = [
        keep(make_pdf(SCRIPT), "application/pdf", 1),
        keep(html, "image/png", 2),
        keep(html, "application/pdf", 3),
        keep(html, "text/html", 4),
    ]
    sign_in(Role.OPERATOR)
    page, answered = context.new_page(), list[str]()  # not the one that is watched: a browser tells what it blocks
    page.on("response", lambda response: answered.append(response.url))
    page.on("dialog", lambda dialog: dialog.dismiss())  # all that a viewer lets a script do
    for address in addresses:
        page.goto(address)
        page.wait_for_timeout(700)
        assert page.url.endswith(address) and page.title() != "ran"
    assert [url for url in answered if "leak" in url] == []


def test_a_photo_is_taken_at_a_defect(sign_in: SignIn, look: Look, tmp_path: Path) -> None:
    make_plant()
    client = api_client()
    assert_done(track_in(client), 201)
    assert_done(track_out(client, result="FAIL", defectCode="BRIDGE"))
    photo = tmp_path / "solder joint.jpg"
    photo.write_bytes(make_picture("JPEG"))
    page = sign_in(Role.OPERATOR, "/trace/units/SN-1/")
    camera = page.get_by_label("Take a photo")
    assert camera.get_attribute("capture") == "environment"
    camera.set_input_files(photo)  # is sent at once
    expect(page.get_by_text("“solder joint.jpg” is attached.")).to_be_visible()
    expect(page.get_by_role("link", name="solder joint.jpg")).to_be_visible()
    assert FileAttachment.objects.get().record_id == Defect.objects.get().pk
    for width, scheme in ((390, "dark"), (1920, "light")):
        at(page, width, scheme)
        look()
    page.get_by_text("Take away", exact=True).click()
    page.get_by_role("button", name="Take this file away").click()
    expect(page.get_by_text("The file is taken away.")).to_be_visible()
    assert not FileAttachment.objects.exists()


@pytest.mark.usefixtures("live_server")
def test_instructions_are_set_in_the_editor_of_a_route(sign_in: SignIn, look: Look, tmp_path: Path) -> None:
    plant = make_plant()
    plan = tmp_path / "Plan A.pdf"
    plan.write_bytes(make_pdf())
    page = sign_in(Role.ENGINEER, f"/admin/mes/routing/{plant.run.route_version.routing_id}/change/")
    step = page.get_by_role("listitem", name="Step 10", exact=True)
    step.get_by_text("How it runs").click()
    field = step.get_by_role("group", name="Work instructions")
    field.get_by_label("Exactly these").check()
    field.get_by_role("button", name="Add a link").click()
    field.get_by_label("Title of instruction 1").fill("How to print")
    field.get_by_label("Address of instruction 1").fill("https://wiki.example/print")
    with page.expect_file_chooser() as chooser:
        field.get_by_role("button", name="Add a PDF or picture").click()
    chooser.value.set_files(plan)
    expect(field.get_by_label("Title of instruction 2")).to_have_value("Plan A")
    look()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/mes/routing/")
    config = RouteExecutionConfig.objects.get(scope="STEP", step_no=10)
    assert config.work_instructions == [
        {"title": "How to print", "url": "https://wiki.example/print"},
        {"title": "Plan A", "fileId": str(StoredFile.objects.get().pk)},
    ]
