"""People of the demo sign what they decide, with the passwords that the demo gave them, where it is told them."""

import json
import os
from collections.abc import Mapping
from typing import Any

from demo.client import Client, Refused

SUPERVISOR, QUALITY = "supervisor", "quality"
NOT_SIGNED = ("SIGNATURE_REFUSED", "SIGN_ON_LOCKED")


class Signers:
    """Who can sign. A person whose password is not known any more signs no more: a token may act without."""

    def __init__(self, passwords: Mapping[str, str] | None = None) -> None:
        """Take the passwords, by user name."""
        self._passwords = dict(passwords or {})

    @classmethod
    def of_environment(cls) -> "Signers":
        """Read LINEKEEPER_SIGNERS, {user name: password}: a command line would show it to others."""
        try:
            told = json.loads(os.environ.get("LINEKEEPER_SIGNERS") or "{}")
        except ValueError:
            told = {}
        return cls({str(name): str(word) for name, word in told.items()} if isinstance(told, dict) else {})

    def post(self, client: Client, *path: str, body: Mapping[str, Any], who: str, meaning: str) -> Any:
        """Send a body that this person signs, or that nobody does."""
        password = self._passwords.get(who)
        if password is None:
            return client.post(*path, body=body)
        signature = {"username": who, "password": password, "meaning": meaning}
        try:
            return client.post(*path, body={**body, "signature": signature})
        except Refused as refusal:
            if refusal.code not in NOT_SIGNED:
                raise
            self._passwords.pop(who)
            return client.post(*path, body=body)
