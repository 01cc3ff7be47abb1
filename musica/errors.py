"""The one exception for input that cannot be used."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one clear line."""
