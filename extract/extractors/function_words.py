"""The function words of English: its closed classes, put together here from what a grammar lists in each.

What a sentence is about is said by content words: nouns, verbs, adjectives, adverbs of manner, names. All others are
here. A user's own list, for English or another language, is a text file of words.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...errors import SettingError
from ...values import first_bytes

_MOST_BYTES = 1_000_000
_BY_CLASS = {
    "articles and determiners": """a an the this that these those each every either neither some any no none both all
        half such what which whose another other others same several enough many much more most few fewer fewest little
        less least own certain""",
    "pronouns": """i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its
        itself we us our ours ourselves they them their theirs themselves thee thou thy ye one ones oneself who whom
        whoever whomever whatever whichever somebody someone something anybody anyone anything nobody nothing everybody
        everyone everything ya yall""",
    "prepositions and particles": """aboard about above across after against along alongside amid amidst among amongst
        around as at atop before behind below beneath beside besides between beyond by despite down during except for
        from in inside into like near of off on onto opposite out outside over past per since than through throughout
        till to toward towards under underneath unlike until up upon versus via with within without""",
    "conjunctions": """and or but nor so yet if unless whether because cause cos although though while whilst whereas
        once lest provided""",
    "auxiliary verbs": """be am is are was were been being have has had having do does did doing done can could may might
        must shall should will would ought need dare cannot gonna gotta wanna""",
    "their negations": """ain't aren't can't couldn't daren't didn't doesn't don't hadn't hasn't haven't isn't mayn't
        mightn't mustn't needn't oughtn't shan't shouldn't wasn't weren't won't wouldn't aint arent cant couldnt didnt
        doesnt dont hadnt hasnt havent isnt mustnt neednt shouldnt wasnt werent wont wouldnt""",
    "what contractions leave": "d ll m re s t ve im youre hes shes theyre ive youve weve theyve ill youll theyll id youd lets",
    "adverbs of place, time and degree that point or bind": """here there where when why how wherever whenever however
        then now again also too very just only even still already ever never not quite rather almost else away back
        further thus hence therefore otherwise instead maybe perhaps""",
    "interjections and fillers": "oh ah uh um er erm hm hmm mm mhm eh yeah yes yep no nope okay ok well hey",
}
ENGLISH = frozenset(word for words in _BY_CLASS.values() for word in words.split())


def words_from(path: Path) -> frozenset[str]:
    """The words of a text file, divided by blanks or lines. Raises SettingError for a file that is none."""
    content = first_bytes(path, _MOST_BYTES)
    if len(content) > _MOST_BYTES:
        raise SettingError(f"{path}: has more than a million bytes, which is no list of function words")
    try:
        words = frozenset(content.decode("utf-8-sig").casefold().replace("’", "'").split())
    except UnicodeDecodeError as error:
        raise SettingError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from error
    if not words:
        raise SettingError(f"{path}: holds no words")
    return words


def digest_of(words: frozenset[str]) -> str:
    """Equal where the words are."""
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:32]
