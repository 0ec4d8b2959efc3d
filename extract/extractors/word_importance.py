"""How much each word of a conversation matters by the words around it: recurrence, and relations of common sense.

For the K content words of a window: M_rec is 1 where two places hold the same word, M_rel is how many of three
relations there are between two words, in whichever direction; both are 0 on the diagonal. The importance of a word
is the sum of its row of M = M_rec + M_rel. It depends on the word alone, not on its place, so it is counted by
distinct words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}\x92"
_WORD = re.compile(rf"[^\W_]+(?:[{_APOSTROPHES}][^\W_]+)*")
_ALIKE = str.maketrans(dict.fromkeys(_APOSTROPHES, "'"))
# Scripts that put no blanks between words: each of their characters stands for a word.
_UNDIVIDED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
MARK = re.compile(r"s[0-9]+: ")  # before a turn, says who speaks


@dataclass(frozen=True)
class Word:
    """A content word where it stands in a text."""

    term: str
    """As ConceptNet writes it: in lower case, without what an apostrophe adds."""

    start: int
    """Its first character."""

    end: int
    """The one after its last."""


def content_words(text: str, function_words: Collection[str], begin: int = 0) -> list[Word]:
    """The words of a text from the character ``begin`` on, without function words."""
    words = []
    for match in _WORD.finditer(text, begin):
        for start, end in _parts(text, match.start(), match.end()):
            whole = text[start:end].casefold().translate(_ALIKE)
            stem, _, ending = whole.partition("'")
            if whole in function_words or stem in function_words or whole.isdecimal():
                continue
            if ending and len(stem) > 1:  # kangaroo's, but o'clock
                end = next(place for place in range(start, end) if text[place] in _APOSTROPHES)
                whole = stem
            words.append(Word(whole, start, end))
    return words


def importances(terms: Sequence[str], relations: Mapping[str, Mapping[str, int]]) -> list[int]:
    """(K,) of the words of a window; ``relations`` say how many there are between two words, in both directions."""
    counts = Counter(terms)
    by_term = {}
    for term, count in counts.items():
        related = relations.get(term, {})
        fewer, more = (related, counts) if len(related) < len(counts) else (counts, related)
        by_term[term] = count - 1 + sum(counts[other] * related[other] for other in fewer if other in more)
    return [by_term[term] for term in terms]


def over_tokens(count: int, places: Iterable[Sequence[int]], values: Iterable[int]) -> list[int]:
    """(T,) the value of each word at its tokens, the greatest where words share one; 0 elsewhere."""
    spread = [0] * count
    for tokens, value in zip(places, values, strict=True):
        for token in tokens:
            spread[token] = max(spread[token], value)
    return spread


def _parts(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    """A run of letters as words: itself, or character by character where its script divides none."""
    first = start
    for match in _UNDIVIDED.finditer(text, start, end):
        if first < match.start():
            yield first, match.start()
        yield match.span()
        first = match.end()
    if first < end:
        yield first, end
