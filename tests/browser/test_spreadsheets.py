"""A sheet with three faults is sent, mended and applied, as an engineer does it."""

from pathlib import Path

from playwright.sync_api import expect

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.specs.models import DataCollectionSpec
from tests.browser.conftest import Look, SignIn, at, more
from tests.factories import make_spec
from tests.spreadsheets.support import text

HEADS = "operationCode;name;itemType;dataType;method;limits.usl"


def test_a_sheet_with_three_faults_is_mended_and_applied(sign_in: SignIn, look: Look, tmp_path: Path) -> None:
    make_spec("REFLOW", "Peak Temperature", usl=250)
    page = sign_in(Role.ENGINEER)
    at(page, 1280, "dark")
    more(page, "Spreadsheets")
    look()
    page.get_by_role("link", name="Data collection specs", exact=True).click()
    file = tmp_path / "limits.csv"
    file.write_bytes(text(HEADS, "REFLOW;Peak Temperature;KEY;NUMBER;AUTO;255,5", "Reflow;Speed;KEY;NUMBER;AUTO;9",
                          "REFLOW;Oxygen ;KEY;NUMBER;AUTO;500"))  # fmt: skip
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Check the sheet").click()
    wrong = page.get_by_role("list").filter(has_text="has a comma")
    expect(wrong.get_by_role("listitem")).to_have_count(3)
    expect(wrong.get_by_role("listitem").nth(0)).to_contain_text("F2")
    expect(wrong.get_by_role("listitem").nth(1)).to_contain_text("There is no operation “Reflow”")
    expect(wrong.get_by_role("listitem").nth(2)).to_contain_text("Take the blanks at its ends away")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    look()

    file.write_bytes(text(HEADS, "REFLOW;Peak Temperature;KEY;NUMBER;AUTO;255.5", "REFLOW;Speed;KEY;NUMBER;AUTO;9",
                          "REFLOW;Oxygen;KEY;NUMBER;AUTO;500"))  # fmt: skip
    page.get_by_role("link", name="Send it again").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Check the sheet").click()
    expect(page.get_by_text("limits.usl 250 → 255.5")).to_be_visible()
    assert DataCollectionSpec.objects.count() == 1
    page.get_by_label("Why?").fill("oven 2 drifts")
    at(page, 390, "light")
    look()
    page.get_by_role("button", name="Apply 3 differences").click()
    expect(page.get_by_role("status")).to_contain_text("2 new, 1 changed, 0 removed")
    assert DataCollectionSpec.objects.get(name="Peak Temperature").usl == 255.5
    assert AuditEntry.objects.filter(reason="oven 2 drifts", actor="b-engineer", via="PAGE").count() == 3
