"""Signing a record: who signs is verified first, outside any transaction, because hashing takes its time; the signature
is then written in the transaction of the act, over the record as that leaves it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.core.serializers.json import DjangoJSONEncoder
from rest_framework.request import Request

from mes import errors
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.signatures.models import Signature

STRICT = "STRICT"


@dataclass(frozen=True, slots=True)
class Signing:
    """A person whose password was right, and what they mean by signing."""

    signer: str
    printed_name: str
    meaning: str


def verify(request: Request, given: Mapping[str, Any] | None, *needed: Capability) -> Signing | None:
    """Return who signs a request with `{username, password, meaning}`; None for a token that signs nothing.

    A person who is signed in signs what they do themselves, and must; a token may act without, unless
    `MES_SIGNATURES=STRICT`, and any person with one of the `needed` capabilities signs with it.
    Raises SignatureRequired, SignerMismatch, SignatureRefused.
    """
    is_person = request.user.pk is not None
    if given is None:
        if is_person or settings.MES_SIGNATURES == STRICT:
            raise errors.SignatureRequired
        return None
    if is_person and given["username"] != request.user.get_username():
        raise errors.SignerMismatch(signer=given["username"])
    person = authenticate(username=given["username"], password=given["password"])
    if person is None or role_capabilities(person).isdisjoint(needed):
        raise errors.SignatureRefused(signer=given["username"])
    return Signing(person.get_username(), person.get_full_name() or person.get_username(), given["meaning"])


def record(
    signing: Signing | None, *, record_type: str, record_id: Any, document: Mapping[str, Any]
) -> Signature | None:
    """Write a signature over a record as it is now, in the caller's transaction; None where nobody signs.

    `record_type` names a kind of `hooks.signed_records`, which reads the document again to tell whether the record is
    unchanged.
    """
    if signing is None:
        return None
    text = canonical(document)
    return Signature.objects.create(
        record_type=record_type,
        record_id=str(record_id),
        meaning=signing.meaning,
        signer=signing.signer,
        printed_name=signing.printed_name,
        document=text,
        sha256=digest(text),
    )


def canonical(document: Mapping[str, Any]) -> str:
    """Return a document as the one text it is signed as: sorted keys, no blanks, times in UTC as ISO 8601."""
    return json.dumps(document, cls=DjangoJSONEncoder, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
