"""Whatever comes as a body: decoded, or refused with a reason."""

import sys
from typing import Any

import msgspec
import pytest
from django.http.request import RawPostDataException
from django.test import RequestFactory
from rest_framework.exceptions import UnsupportedMediaType

from mes.errors import ParseFailed, PayloadTooLarge, ValidationFailed
from mes.platform.http import parsing


class Item(msgspec.Struct, rename="camel"):
    spec_name: str
    value: float | None = None


class Event(msgspec.Struct, forbid_unknown_fields=True):
    data: list[Item] = []
    extra: dict[str, int] = {}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (b"{}", {}),
        (b"null", None),
        (b'{"a":1,"a":2}', {"a": 2}),
        (rb'"\\u0000"', "\\u0000"),
        (rb'"\ud83d\ude00"', "😀"),
        (b"1e-999", 0.0),
        (b"1" + b"0" * 300, 10**300),
        (b'"' + b"7" * 400 + b'"', "7" * 400),
        (b"[" * 64 + b"]" * 64, None),
        (b'["' + b"[" * 100 + b'"]', ["[" * 100]),
        (rb'["\"' + b"{" * 100 + b'"]', ['"' + "{" * 100]),
        (b"[" + b"[]," * 500 + b"[]]", [[]] * 501),
    ],
)
def test_sound_bodies_are_decoded(body: bytes, value: Any) -> None:
    decoded = parsing.decode(body)
    assert decoded == value or value is None


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"{",
        b" ",
        b'{"a":NaN}',
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1" * 5000,
        b'"\xff"',
        b'{"\xff": 1}',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'"a\nb"',
        b"{} x",
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'[{"a":' * 33 + b"1" + b"}]" * 33,
        b'["]",' * 70 + b'["["' * 70 + b"]" * 140,
        b"[" * 900 + b"]" * 900,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_not_acceptable_json_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(ParseFailed) as refused:
        parsing.decode(body)
    assert refused.value.details["reason"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (rb'"\u0000"', "body"),
        (rb'{"a": {"b": ["x", "\u0000"]}}', "a.b.1"),
        (rb'{"a": {"k\u0000": 1}}', "a"),
        (rb'{"a": "\ud800"}', "a"),
        (rb'{"a": ["\uD800x"]}', "a.0"),
        (rb'{"a": "\uDc00\ud800"}', "a"),
        (rb'{"\udfff": 1}', "body"),
        (b'{"a": 1' + b"0" * 400 + b"}", "a"),
        (rb'{"self": "\u0000"}', "self"),
    ],
)
def test_what_the_database_cannot_keep_is_refused_by_its_path(body: bytes, path: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parsing.decode(body)
    assert list(refused.value.details) == [path]


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b'{"data":[{}]}', {"data.0.specName": "This field is required."}),
        (b'{"data":[{"specName":"x"},{"specName":1}]}', {"data.1.specName": "Expected `str`, got `int`"}),
        (b'{"data":[{"specName":"x","value":"1"}]}', {"data.0.value": "Expected `float | null`, got `str`"}),
        (b'{"dada":[]}', {"dada": "Unknown field."}),
        (b"[]", {"body": "Expected `object`, got `array`"}),
        (b"null", {"body": "Expected `object`, got `null`"}),
        (b'{"extra":{"a":"x"}}', {"extra": "Expected `int`, got `str`"}),
        (b'{"data":[{"specName":"x","value":1e999}]}', {"data.0.value": "Number out of range"}),
        (b'{"data":[{"specName":"x\\u0000"}]}', {"data.0.specName": "NUL characters are not allowed."}),
        (b'{"data":[{"specName":"x","skipped":"\\u0000"}]}', {"data.0.skipped": "NUL characters are not allowed."}),
    ],
)
def test_typed_decoding_names_fields_in_dotted_form(body: bytes, details: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parsing.decode_as(body, Event)
    assert refused.value.details == details


@pytest.mark.parametrize(
    ("value", "details"),
    [
        ({"data": [{"specName": "x"}, {"specName": 1}]}, {"data.1.specName": "Expected `str`, got `int`"}),
        ({"data": [{}]}, {"data.0.specName": "This field is required."}),
        ({"data": [{"specName": "x", "value": "1"}]}, {"data.0.value": "Expected `float | null`, got `str`"}),
        ({"dada": []}, {"dada": "Unknown field."}),
        ([], {"body": "Expected `object`, got `array`"}),
    ],
)
def test_what_is_decoded_already_is_refused_in_the_same_words(value: Any, details: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parsing.convert(value, Event)
    assert refused.value.details == details


def test_what_is_decoded_already_is_converted_without_coercion() -> None:
    event = parsing.convert({"data": [{"specName": "x", "value": 10**25}]}, Event)
    assert event == Event(data=[Item(spec_name="x", value=1e25)])


@pytest.mark.parametrize("depth", [70, 900, 100_000])
def test_depth_counts_also_in_fields_that_typed_decoding_skips(depth: int) -> None:
    body = b'{"data":[{"specName":"x","skipped":' + b"[" * depth + b"]" * depth + b"}]}"
    with pytest.raises(ParseFailed):
        parsing.decode_as(body, Event)


def test_an_empty_body_is_an_empty_object_for_typed_decoding() -> None:
    assert parsing.decode_as(b"", Event) == Event()


def test_numbers_beyond_a_double_are_refused_only_where_they_are_numbers() -> None:
    assert parsing.decode(str(int(sys.float_info.max)).encode()) == int(sys.float_info.max)


# --- reading ----------------------------------------------------------------------------------------------


def post(body: bytes, content_type: str = "application/json", **headers: Any) -> Any:
    return RequestFactory().generic("POST", "/api/x", body, content_type=content_type, **headers)


def test_a_body_up_to_the_limit_is_read() -> None:
    assert parsing.read_body(post(b"x" * 10), limit=10) == b"x" * 10


def test_a_larger_body_is_refused_unread() -> None:
    request = post(b"x" * 11)
    with pytest.raises(PayloadTooLarge):
        parsing.read_body(request, limit=10)
    request.read(1)
    with pytest.raises(RawPostDataException):  # because it is still to be read
        _body = request.body


def test_the_default_limit_is_the_setting(settings: Any) -> None:
    settings.MES_BODY_LIMIT = 5
    with pytest.raises(PayloadTooLarge):
        parsing.read_body(post(b"x" * 6))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_that_is_not_declared_as_json_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        parsing.read_body(post(b"{}", content_type))


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_parameters_and_case_of_the_content_type_do_not_matter(content_type: str) -> None:
    assert parsing.read_body(post(b"{}", content_type)) == b"{}"


@pytest.mark.parametrize("length", ["", "0", "x", "-5"])
def test_without_a_length_there_is_no_body(length: str) -> None:
    assert parsing.read_body(post(b"{}", CONTENT_LENGTH=length)) == b""


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"events": [1, {"a": [2]}]}', [b"1", b'{"a": [2]}']),
        (b'{"events": ["\\ud800", "\\uD83D\\uDE00"], "x": 1}', [b'"\\ud800"', b'"\\uD83D\\uDE00"']),
        (b'{"events": ["\\\\ud800", "\\ud800"]}', [b'"\\\\ud800"', b'"\\ud800"']),
        (b'{"events": ["\xff", 1e999]}', [b'"\xff"', b"1e999"]),
        (b'{"events": [1, 2, 3]}', [b"1", b"2", b"3"]),
    ],
)
def test_a_batch_is_split_without_a_look_into_its_events(body: bytes, events: list[bytes]) -> None:
    assert parsing.split(body, most=3) == events


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"events": [NaN]}', ParseFailed),
        (b'{"events": [1}', ParseFailed),
        (b'{"events": "\\ud800"}', ValidationFailed),
        (b'{"events": 1}', ValidationFailed),
        (b'{"events": []}', ValidationFailed),
        (b'{"events": [1, 2, 3, 4]}', ValidationFailed),
        (b'{"events": ["\\ud800", 2, 3, 4]}', ValidationFailed),
        (b"", ValidationFailed),
    ],
)
def test_what_is_wrong_around_the_events_is_said_of_all(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parsing.split(body, most=3)


@pytest.mark.parametrize("part", [b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"9" * 400, b"[" * 70 + b"]" * 70])
def test_parts_are_looked_at_closely_where_the_whole_is_not_plain(part: bytes) -> None:
    whole = b'{"events": [1, ' + part + b"]}"
    with pytest.raises((ParseFailed, ValidationFailed)):
        parsing.decoder_of_parts(whole)(part)
    assert parsing.decoder_of_parts(b'{"events": ["\xc3\xb6"]}')(b'"\xc3\xb6"') == "ö"
