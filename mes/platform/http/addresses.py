"""Names in addresses: a code may hold slashes, sent as `/` or `%2F`; the interface's own last part wins.

A slash and `%2F` are the same to WSGI. What keeps addresses unambiguous is that no code has a later part that is a word
of the interface (`mes.platform.validators.INTERFACE_WORDS`), and that addresses that end with such a word come first.
"""

from collections.abc import Iterable

from rest_framework.routers import DynamicRoute, Route, SimpleRouter

NAME = "[^/]+(?:/[^/]+)*"
# Of two names in one address, the first ends at the first word that follows it.
FIRST_NAME = f"{NAME}?"


class NameConverter:
    """`<name:code>` of `path()`: a code, with the slashes that stand within it."""

    regex = NAME

    def to_python(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_url(self, value: str) -> str:
        """Return it as it is: `reverse` quotes what an address cannot hold."""
        return value


def one_of(words: Iterable[str]) -> str:
    """Return the expression of the part of an address that is one of these words."""
    return "|".join(sorted(words))


def _is_of_one(route: Route | DynamicRoute) -> bool:
    return isinstance(route, DynamicRoute) and route.detail


class NameRouter(SimpleRouter):
    """A router whose addresses that end with a word of the interface come before those that end with a name."""

    routes = [
        *(route for route in SimpleRouter.routes if _is_of_one(route)),
        *(route for route in SimpleRouter.routes if not _is_of_one(route)),
    ]

    def __init__(self) -> None:
        super().__init__(trailing_slash=False)
