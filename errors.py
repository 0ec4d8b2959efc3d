"""The one family of errors a user can cause and can mend."""


class MsmtError(Exception):
    """Says what is wrong, where, and what to do about it, in one line.

    The command line prints it as that line and ends with exit status 2. Anything else that is
    raised is a defect of msmt and shows its traceback.
    """


class CorpusError(MsmtError):
    """The corpus on disk is not what its adapter expects; names the file and the row."""


class AudioError(MsmtError):
    """One recording cannot be used. Extraction lists it and goes on."""


class EncoderError(MsmtError):
    """An encoder cannot be loaded, or does not fit the purpose."""


class StoreError(MsmtError):
    """A feature store is missing, unreadable, or does not hold what is asked of it."""


class DamageError(StoreError):
    """What a store says of itself, or of its rows, is not what was written."""


class LockedError(StoreError):
    """Another process is writing the store."""


class SpecMismatchError(StoreError):
    """The store holds features made in another way than is asked for now."""


class SettingError(MsmtError):
    """An option has a value that makes no sense."""


class RunError(MsmtError):
    """A run directory is missing, incomplete, or belongs to other data."""
