"""The one exception for input that cannot be used."""

MAX_LINE = 2000


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one clear line."""

    def __str__(self) -> str:
        """The message, whatever names of files it quotes."""
        return one_line(super().__str__())


def one_line(text: object) -> str:
    """Text as one line that any terminal can show: what is not printable is escaped."""
    line = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in str(text)
    )
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..."
