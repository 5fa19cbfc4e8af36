"""The page on which a scanner is tried: what arrives of a scan, and what it is read as. It only reads."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from execution.station_page.barcodes import draw_code_128
from mes.platform.http.pages import signed_in

# Characters that lie elsewhere on other keyboards, behind some that tell the text from others.
TEST_TEXT = "0123yzYZ-_/+=?:;#'()[]@"


@signed_in
@require_GET
def scanner(request: HttpRequest) -> HttpResponse:
    """Show what is scanned."""
    context = {"test_text": TEST_TEXT, "symbol": draw_code_128(TEST_TEXT)}
    return render(request, "stations/scanner.html", context)
