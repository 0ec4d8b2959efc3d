"""What is predicted: the definition of a task, and labels made coarser."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SettingError

NO_LABEL = -1  # class index of a segment that has no label for a task
SENTIMENT, SIMS = "sentiment", "sims"
SCALES = {SENTIMENT: 3.0, SIMS: 1.0}  # the largest value of each; the smallest is its negative


@dataclass(frozen=True)
class Task:
    """One thing to predict for every recording, or for every segment."""

    name: str
    """Short and unique, such as ``five`` or ``emotion``."""

    classes: tuple[str, ...] = ()
    """Class names in the order of the logits; empty when a real value is predicted."""

    level: str = "recording"
    """``recording`` when all segments of a recording share the label, else ``segment``."""

    coarsens: str | None = None
    """Name of the finer task whose classes this one merges, if any."""

    members: tuple[tuple[str, ...], ...] = ()
    """For each class, the classes of the finer task it merges; empty unless ``coarsens`` is set."""

    scale: str = ""
    """What a real value means: ``sentiment``, -3 to 3 as in CMU-MOSI, ``sims``, -1 to 1 as in CH-SIMS; empty for any."""

    follows: str | None = None
    """Name of the task whose label of the next segment this one's is, as ``next_emotion`` follows ``emotion``."""

    def __post_init__(self) -> None:
        texts = (self.name, *self.classes, *(member for members in self.members for member in members))
        if not all(type(text) is str for text in texts) or not isinstance(self.coarsens, str | None):
            raise SettingError(f"task {self.name!r:.80}: names and classes must be texts")
        if self.level not in ("recording", "segment"):
            raise SettingError(f"task {self.name}: level must be recording or segment, but is {self.level!r}")
        if len(set(self.classes)) != len(self.classes):
            raise SettingError(f"task {self.name}: class names repeat: {', '.join(self.classes)}")
        if len(self.classes) == 1:
            raise SettingError(f"task {self.name}: has one class only ({self.classes[0]}), so nothing can be learnt")
        if bool(self.coarsens) != bool(self.members) or len(self.members) not in (0, len(self.classes)):
            raise SettingError(f"task {self.name}: must name the members of each class, and the task they come from")
        if self.scale not in ("", *SCALES):
            there = " or ".join(SCALES)
            raise SettingError(f"task {self.name}: scale must be {there}, or empty, but is {self.scale!r:.80}")
        if self.scale and self.classes:
            raise SettingError(
                f"task {self.name}: has classes, and only real values have a scale, but it is {self.scale}"
            )
        if not isinstance(self.follows, str | None) or self.follows in ("", self.name):
            raise SettingError(f"task {self.name}: follows must name another task, but is {self.follows!r:.80}")
        if self.follows and self.level != "segment":
            raise SettingError(
                f"task {self.name}: follows {self.follows} segment by segment, so its level must be segment"
            )

    @property
    def is_value(self) -> bool:
        """Whether a real number is predicted instead of a class."""
        return not self.classes

    @property
    def column(self) -> str:
        """Column of the segment table that holds the label: a class index, or a real value."""
        return f"label_{self.name}"

    @property
    def outputs(self) -> int:
        """Number of outputs a model needs for this task."""
        return len(self.classes) or 1

    def coarse_index(self, fine: Task) -> tuple[int, ...]:
        """For each class of the finer task, the index of the class here that it belongs to."""
        if self.coarsens != fine.name:
            raise SettingError(f"task {self.name} is not a coarser form of task {fine.name}")
        home = {member: index for index, members in enumerate(self.members) for member in members}
        return tuple(home[name] for name in fine.classes)

    def to_json(self) -> dict:
        """A plain dictionary that ``from_json`` turns back into this task; without what older files do not know."""
        fields = {
            "name": self.name,
            "classes": list(self.classes),
            "level": self.level,
            "coarsens": self.coarsens,
            "members": [list(members) for members in self.members],
        }
        # Left out where unset, so that the digests of stores and runs that were made before stay as they are.
        return fields | {name: value for name in ("scale", "follows") if (value := getattr(self, name))}

    @classmethod
    def from_json(cls, fields: dict) -> Task:
        return cls(
            name=fields["name"],
            classes=tuple(fields["classes"]),
            level=fields["level"],
            coarsens=fields["coarsens"],
            members=tuple(tuple(members) for members in fields["members"]),
            scale=fields.get("scale", ""),
            follows=fields.get("follows"),
        )


def merged(fine: Task, name: str, *groups: str) -> Task:
    """A coarser task: ``merged(five, "three", "A", "B+C", "D+E")`` merges B with C and D with E."""
    members = tuple(tuple(group.split("+")) for group in groups)
    named = sorted(member for group in members for member in group)
    if named != sorted(fine.classes):
        raise SettingError(f"task {name}: must place each of {', '.join(fine.classes)} once, but places {named}")
    return Task(name=name, classes=groups, level=fine.level, coarsens=fine.name, members=members)
