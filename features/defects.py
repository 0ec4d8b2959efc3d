"""What is known to be wrong with a corpus wherever it is, as the store keeps it in mind.

    facts["known_defects"]   {segment id: what is wrong, in words}

A segment of which features are missing for such a reason is left out of training and scoring without further ado, and
counted and listed as left out.
"""

from __future__ import annotations

from collections.abc import Mapping

FACT = "known_defects"  # in the facts of a store's head


def defects_in(facts: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with each segment, by its id, as a store's facts say. What cannot be read as that is passed over."""
    defects = facts.get(FACT)
    if not isinstance(defects, dict):
        return {}
    return {name: what for name, what in defects.items() if isinstance(name, str) and isinstance(what, str)}
