"""The admin site in the product's look: usable by anybody, on a desk and in a hand, by day and by night."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from mes.platform.accounts.roles import Role
from mes.routing.compilation import compile_route
from tests.browser.conftest import SignIn
from tests.factories import make_route, make_spec

PAGES = (
    "/admin/",
    "/admin/mes/datacollectionspec/",
    "/admin/mes/routing/{}/change/",
    "/admin/mes/routing/{}/delete/",
    "/admin/mes/routeversion/{}/change/",
    "/operations/tasks/",
)


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (390, "dark")])
def test_pages_of_the_administration(
    sign_in: SignIn, accessible: Callable[[Page], None], width: int, scheme: str
) -> None:
    route = make_route()
    make_spec("REFLOW", usl=250.0)
    version, _changed = compile_route(code=route.code)
    page = sign_in(Role.ENGINEER, "/admin/")
    expect(page.get_by_role("link", name="Data collection specs", exact=True)).to_be_visible()
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in PAGES:
        page.goto(path.format(version.pk if "version" in path else route.pk))
        expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        accessible(page)


def test_words_of_a_choice_stay_whole_on_a_narrow_screen(sign_in: SignIn) -> None:
    page = sign_in(Role.ADMIN, "/admin/auth/user/add/")
    page.set_viewport_size({"width": 390, "height": 844})
    for name in page.locator("#id_roles label b").all():
        box = name.bounding_box()
        assert box is not None and box["height"] < 30, name.inner_text()
