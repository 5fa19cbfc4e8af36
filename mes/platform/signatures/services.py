"""Signing a record: who signs is verified first, outside any transaction, because hashing takes its time; the signature
is then written in the transaction of the act, over the record as that leaves it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from rest_framework.request import Request

from mes import errors
from mes.platform.accounts.hashers import HashingBusy
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.sign_in import attempts
from mes.platform.sign_in.address import client_address
from mes.platform.signatures.models import Signature, digest

STRICT = "STRICT"


@dataclass(frozen=True, slots=True)
class Signing:
    """A person whose password was right, and what they mean by signing."""

    signer: str
    printed_name: str
    meaning: str


def acts_unsigned(request: HttpRequest | Request) -> bool:
    """Whether a request may do without a signature what people must sign: a token, unless `MES_SIGNATURES=STRICT`."""
    return request.user.pk is None and settings.MES_SIGNATURES != STRICT


def verify(request: HttpRequest | Request, given: Mapping[str, Any] | None, *needed: Capability) -> Signing | None:
    """Return who signs a request with `{username, password, meaning}`; None for a token that signs nothing.

    A person who is signed in signs what they do themselves, and must; a token may act without, unless
    `MES_SIGNATURES=STRICT`, and any person with one of the `needed` capabilities signs with it. Called outside any
    transaction: hashing takes its time, and a failure stays counted whatever becomes of the act.
    Raises SignatureRequired, SignerMismatch, SignatureRefused, SignOnLocked, SigningBusy.
    """
    is_person = request.user.pk is not None
    if given is None:
        if not acts_unsigned(request):
            raise errors.SignatureRequired
        return None
    username = User.normalize_username(given["username"].strip())
    if is_person and username != request.user.get_username():
        raise errors.SignerMismatch(signer=username)
    person = _check_password(request, username, given["password"], needed)
    return Signing(person.get_username(), person.get_full_name() or person.get_username(), given["meaning"])


def _check_password(request: HttpRequest, username: str, password: str, needed: Collection[Capability]) -> Any:
    """Return the person. Whether name, password or right is wrong costs and says the same, and counts the same."""
    attempt = attempts.begin_locking(account=username, address=client_address(request))
    try:
        person = authenticate(username=username, password=password)
        is_refused = person is None or role_capabilities(person).isdisjoint(needed)
    except HashingBusy:
        attempt.take_back()
        raise errors.SigningBusy from None
    if is_refused:
        attempt.fail()
        raise errors.SignatureRefused(signer=username)
    attempt.succeed()
    return person


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
