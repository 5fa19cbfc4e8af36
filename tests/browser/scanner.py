"""A scanner, as a page sees it: real key events of recorded streams, at times that the test sets."""

from collections.abc import Sequence

from playwright.sync_api import Page

GS, RS, EOT = "\x1d", "\x1e", "\x04"
# What scanners press for characters that no key has.
WITH_CTRL = {GS: "Control+]", RS: "Control+Shift+Digit6", EOT: "Control+d", "\x02": "Control+b", "\x03": "Control+c"}
AS_FUNCTION = {GS: "F8", RS: "F9"}
PACE = 4  # ms from key to key


def keys_of(text: str, controls: dict[str, str] = WITH_CTRL) -> list[str]:
    """Return the keys that a scanner presses for a text, one after the other."""
    return [
        controls.get(character) or (f"Shift+{character}" if character.isupper() else character) for character in text
    ]


def with_alt(text: str) -> list[str]:
    """Return the keys of a scanner that gives the number of each character on the number pad, with Alt held."""
    keys: list[str] = []
    for character in text:
        keys += ["+Alt", *(f"Numpad{digit}" for digit in f"{ord(character):04}"), "-Alt"]
    return keys


def stop_clock(page: Page) -> None:
    """Let time stand still on the page that is open, so that only the test moves it."""
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)


def play(page: Page, keys: Sequence[str], *, pace: int = PACE) -> None:
    """Press keys, `pace` ms apart, on a page whose clock stands. `+Key` only presses it down, `-Key` lets go of it."""
    for key in keys:
        page.clock.run_for(pace)
        if len(key) > 1 and key[0] == "+":
            page.keyboard.down(key[1:])
        elif len(key) > 1 and key[0] == "-":
            page.keyboard.up(key[1:])
        else:
            page.keyboard.press(key)


def scan(page: Page, text: str, suffix: str = "Enter") -> None:
    """Scan a text on a page whose clock stands."""
    play(page, [*keys_of(text), suffix])
