"""Cards, IBANs and social security numbers in any writing, and texts that they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

ASCII = "0123456789"
OTHER_SCRIPTS = ("０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩")
SEPARATORS = (
    " ", "-", ".", "\n", "_", "·", "/", " - ", "  ", "\u00a0", "\u2009", "\u2800", "–", " － ", "\u200b",
    " \u200b ", "\u3164", "** **", " · ", "\n- ",
)  # fmt: skip
NETWORKS = (
    ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16),
    ("36", 14), ("3528", 16), ("62", 16), ("62", 19),
)  # fmt: skip


def luhn(digits: str) -> str:
    """With its check digit."""
    total = sum(int(d) if place % 2 else sum(divmod(2 * int(d), 10)) for place, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def checked(country: str, account: str) -> str:
    """With its check digits."""
    number = int("".join(str(int(character, 36)) for character in account + country + "00"))
    return f"{country}{98 - number % 97:02}{account}"


digits = st.text(ASCII, min_size=32, max_size=32)
capitals = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=4)
cards = st.tuples(st.sampled_from(NETWORKS), digits).map(
    lambda card: luhn((card[0][0] + card[1])[: card[0][1] - 1])
)
ibans = st.one_of(
    digits.map(lambda account: checked("DE", account[:18])),
    digits.map(lambda account: checked("NO", account[:11])),
    st.tuples(capitals, digits).map(lambda account: checked("GB", account[0] + account[1][:14])),
    st.tuples(capitals, digits).map(lambda account: checked("MT", account[0] + account[1][:23])),
)
ssns = st.tuples(
    st.integers(1, 665), st.integers(1, 99), st.integers(1, 9999), st.sampled_from("- _·.\n\u2800–")
).map(lambda parts: f"{parts[0]:03}{parts[3]}{parts[1]:02}{parts[3]}{parts[2]:04}")


def any_groups(number: str) -> st.SearchStrategy[list[str]]:
    places = st.lists(st.integers(1, len(number) - 1), max_size=len(number))
    return places.map(lambda found: _cut(number, found))


def usual_groups(card: str) -> st.SearchStrategy[list[str]]:
    """In one piece, or as it stands on the card."""
    ends = {15: [4, 10], 14: [4, 10]}.get(len(card), [4, 8, 12, 16])
    return st.sampled_from([[card], _cut(card, [end for end in ends if end < len(card)])])


def _cut(text: str, places: list[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise(sorted({0, len(text), *places}))]


def written(groups: list[str]) -> st.SearchStrategy[str]:
    """The same separator everywhere, or any."""
    gaps = st.one_of(
        st.sampled_from(SEPARATORS).map(lambda gap: [gap] * len(groups)),
        st.lists(st.sampled_from(SEPARATORS), min_size=len(groups), max_size=len(groups)),
    )
    return gaps.map(lambda found: "".join(map("".join, zip(groups, [*found[1:], ""], strict=True))))


@dataclass(frozen=True)
class Text:
    text: str
    hidden: str
    """The number. It holds all ASCII digits of the text: other numbers have the digits of another script."""


words = st.sampled_from(
    ["word", "Room", "No.", "in", "IBAN:", "costs", "x" * 150, "4)", "and", "Card", "Pay to", "…", "é"]
)
few_numbers = st.sampled_from(["2", "23", "12/27", "2024", "2024-05-01", "3.", "+1", "007"])
numbers = st.one_of(
    few_numbers,
    cards,
    st.integers(10, 99).map(lambda last: " ".join(map(str, range(1, last)))),
    st.integers(10, 40).map(lambda last: "\n".join(f"{n}. {n * 7919}" for n in range(1, last))),
    st.just("078-05-1120"),
)
json = st.sampled_from(
    ['{"id":1,"number":', '{"a":"' + "x" * 117 + '","b":', '{"a":"' + "x" * 4068 + '","c":', "[7, 8,"]
)
joints = st.sampled_from([" ", "\n", ", ", ": ", " - ", '"', "\t", " | "])


def texts(
    hidden: st.SearchStrategy[str], others: st.SearchStrategy[str], most: int = 6
) -> st.SearchStrategy[Text]:
    """One number between so many words, pieces of JSON and others, at most."""
    around = st.lists(st.tuples(st.one_of(words, json, others), joints), max_size=most)

    def put(parts: tuple[list[tuple[str, str]], str, list[tuple[str, str]], str]) -> Text:
        before, number, after, script = parts
        in_script = str.maketrans(ASCII, script)
        left = "".join(map("".join, before)).translate(in_script)
        right = "".join(joint + other for other, joint in after).translate(in_script)
        return Text(left + number + right, number)

    return st.tuples(around, hidden, around, st.sampled_from(OTHER_SCRIPTS)).map(put)
