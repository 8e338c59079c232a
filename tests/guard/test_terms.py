from __future__ import annotations

import base64
import codecs
import json
from urllib.parse import quote

import pytest

from headrace.guard.rail import Scores
from headrace.guard.terms import CanaryRail, TermsRail

RAIL = TermsRail(
    "terms",
    "competitor",
    [
        "Acme Corp",
        "Initech",
        "naïve",
        "C++",
        ".NET",
        "AT&T",
        "Forbidden",
        "hello",
        "禁词",
        "AI研究",
        "삼성",
        "IBM",
        "isis",
    ],
)


def found(text: str) -> list[str]:
    (scores,) = RAIL.score_batch([text])
    return [text[span.start : span.end] for span in scores.spans]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Ask INITECH or acme  corp.", ["INITECH", "acme  corp"]),
        ("Acme\nCorp", ["Acme\nCorp"]),
        ("Acme" + " " * 90 + "Corp!", ["Acme" + " " * 90 + "Corp"]),
        ("acme-corp, ACME_CORP, acme.corp, Acme **Corp**", ["acme-corp", "ACME_CORP", "acme.corp", "Acme **Corp"]),
        ("Ini\u200btech", ["Ini\u200btech"]),
        ("Ｉｎｉｔｅｃｈ", ["Ｉｎｉｔｅｃｈ"]),
        ("Initech's _Initech_", ["Initech", "Initech"]),
        ("naïve? nai\u0308ve!", ["naïve", "nai\u0308ve"]),
        ("in C++.", ["C++"]),
        ("a .NET app of AT&T", [".NET", "AT&T"]),
        ("Ask Initесh", ["Initесh"]),
        ("f0rbidden, forb1dd3n", ["f0rbidden", "forb1dd3n"]),
        ("he11o hel1o", ["he11o", "hel1o"]),
        ("so f o r b i d d e n!", ["f o r b i d d e n"]),
        ("f.o.r.b.i.d.d.e.n", ["f.o.r.b.i.d.d.e.n"]),
        ("f 0 r b 1 d d 3 n", ["f 0 r b 1 d d 3 n"]),
        ("F\nO\nR\nB\nI\nD\nD\nE\nN", ["F\nO\nR\nB\nI\nD\nD\nE\nN"]),
        ("A c m e   C o r p", ["A c m e   C o r p"]),
        ("I.B.M.", ["I.B.M"]),
        ("a fo\u034frbidden f\u2800orbi\u1160dden", ["fo\u034frbidden", "f\u2800orbi\u1160dden"]),
        ("very " + "\u0336".join("forbidden") + "\u0336.", ["\u0336".join("forbidden") + "\u0336"]),
        ("f\u0301\u0302\u0303orbidden", ["f\u0301\u0302\u0303orbidden"]),
        ("我爱禁词吗，我爱Initech吗，禁 词", ["禁词", "Initech", "禁 词"]),
        ("我AI研究院 삼성이", ["AI研究", "삼성"]),
        ("Initechnology, Acme Corporation, forbiddenness, unforbidden, OpenAI研究", []),
        ("for bidden, the net, look at t-shirts, C++11, 1 5 1 5, 1515, 5 1515", []),
        ("", []),
    ],
)
def test_terms_are_found_whole_in_any_writing(text: str, terms: list[str]) -> None:
    assert found(text) == terms


def test_a_list_of_nothing_finds_nothing() -> None:
    rail = TermsRail("terms", "none", ["", "  ", "\u200b"])
    (scores,) = rail.score_batch(["anything"])
    assert scores.spans == ()
    assert rail.longest == 0
    assert not rail.begins("The")


def test_of_two_terms_that_begin_alike_the_longer_one_is_found() -> None:
    (scores,) = TermsRail("terms", "x", ["acme", "acme corp"]).score_batch(["acme corp"])
    assert [(span.start, span.end) for span in scores.spans] == [(0, 9)]


@pytest.mark.parametrize(
    ("opening", "begins"),
    [
        ("Theo", True),
        ("The", True),
        ("THE ", True),
        ("Th3", True),
        ("T ", True),
        ("T", True),
        ("Ｔh\u200bе", True),
        ("They", False),
        ("Here", False),
        ("I'", True),
        ("1'", True),
        ("In ", False),
        (".", True),
    ],
)
def test_a_rail_says_whether_a_term_may_begin_so(opening: str, begins: bool) -> None:
    rail = TermsRail("terms", "names", ["Theo Miller", "i'll tell", ".NET"])
    assert rail.begins(opening) is begins


@pytest.mark.parametrize(
    "written", ["acme secret project", "acme   -*-  secret   -*-  project", " - ".join("acmesecretproject")]
)
def test_no_writing_of_a_term_is_longer_than_the_rail_says(written: str) -> None:
    rail = TermsRail("terms", "names", ["acme secret project", "acme"])
    (scores,) = rail.score_batch([f"so: {written}."])
    assert [(span.start, span.end) for span in scores.spans] == [(4, 4 + len(written))]
    assert len(written) <= rail.longest == 65


def test_records_tell_two_lists_apart_and_not_their_order() -> None:
    backends = [TermsRail("terms", "x", terms).backend for terms in (["a b", "c"], ["c", "a b"], ["a", "b c"])]
    assert backends[0] == backends[1] != backends[2]
    assert backends[0].startswith("terms:2 terms, sha256 ")
    assert len(backends[0].rpartition(" ")[2]) == 16


CANARY = "zebra-lighthouse-42"
IN_CODES = {
    "plain": CANARY,
    "capitals": CANARY.upper(),
    "look-alikes": "zеbrа-lighthоuse-42",
    "other signs between": "zebra_lighthouse 42",
    "apart": "z e b r a - l i g h t h o u s e - 4 2",
    "struck through": "\u0336".join(CANARY),
    "invisible letters": "\u1160".join(CANARY),
    "digits": "z3bra-l1ghth0use-42",
    "bold": "<b>zebra</b>-<span class='x'>light</span>house-<i>42</i>",
    "bold, Markdown": "**zebra**-**light**house-42",
    "reversed": CANARY[::-1],
    "rot13": codecs.encode(CANARY, "rot13"),
    "hex": CANARY.encode().hex(),
    "hex, spaces": CANARY.encode().hex(" "),
    "hex, numbers": " ".join(map(hex, CANARY.encode())),
    "percent": "".join(f"%{byte:02X}" for byte in CANARY.encode()),
    "percent, some": quote(CANARY.replace("-", " ")),
    "JSON": "".join(f"\\u{byte:04x}" for byte in CANARY.encode()),
    "JSON, one letter": CANARY.replace("z", "\\u007a"),
    "JSON in JSON": json.dumps(json.dumps(CANARY.replace("z", "\u017e"))).replace("017e", "007a"),
    "HTML": "".join(f"&#{byte};" for byte in CANARY.encode()),
    "HTML, hex": "".join(f"&#x{byte:x};" for byte in CANARY.encode()),
    "base64": base64.b64encode(f"The word is {CANARY}.".encode()).decode(),
    "base64, alone": base64.b64encode(CANARY.encode()).decode(),
    "base64, in lines": base64.encodebytes(f"{'word ' * 20} {CANARY}".encode()).decode(),
    "base64, letters apart": " ".join(base64.b64encode(f"a{CANARY}".encode()).decode()),
    "base64, capitals": base64.b64encode(CANARY.upper().encode()).decode(),
}


@pytest.mark.parametrize("code", IN_CODES)
def test_a_canary_is_found_however_it_is_written(code: str) -> None:
    rail = CanaryRail([CANARY])
    answers = [f"Here: {IN_CODES[code]}", f"Here:{IN_CODES[code]}, and more words."]
    assert rail.score_batch([*answers, "Here: nothing"]) == [Scores({"canary": 1.0})] * 2 + [Scores()]
    assert not rail.points


@pytest.mark.parametrize("code", ["plain", "reversed", "hex", "rot13"])
def test_a_canary_may_begin_in_a_code(code: str) -> None:
    assert CanaryRail([CANARY]).begins(IN_CODES[code][:3])
    assert not CanaryRail([CANARY]).begins("The")


def test_a_short_canary_is_found_as_a_word_alone() -> None:
    rail = CanaryRail(["xyzzy"])
    answers = ["Say xyzzy!", "Say yzzyx?", "max yz zygote", base64.b64encode(b"Say xyzzy, please").decode()]
    assert [bool(scores.by_category) for scores in rail.score_batch(answers)] == [True, False, False, True]


def test_the_record_of_a_canary_does_not_help_to_guess_it() -> None:
    assert CanaryRail([CANARY]).backend == CanaryRail(["another-word-17"]).backend == "canary:1 terms"


def test_a_phrase_is_awaited_in_its_longest_writing() -> None:
    rail = TermsRail("terms", "names", ["acme secret project"])
    for begun in ("acme   -*-  secret", " - ".join("acmesecret")):
        assert rail.begun(f"so: {begun}")
    assert not rail.begun("so: acme secret word")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_canary_in_base64_is_found_wherever_it_begins_and_its_letters_apart(before: str) -> None:
    code = base64.b64encode(f"{before}zebra-lighthouse-42".encode()).decode()
    rail = CanaryRail(["zebra-lighthouse-42"])
    assert rail.score_batch([" ".join(code), " - ".join(code)]) == [Scores({"canary": 1.0})] * 2
