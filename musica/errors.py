"""The exception for input that cannot be used."""

MAX_LINE = 2000


class InputError(ValueError):
    """Input of the user cannot be used; the message is one clear line."""

    def __str__(self) -> str:
        """The message as one line, with any file names that it quotes."""
        return one_line(super().__str__())


def one_line(text: object) -> str:
    """Text as one line for any terminal: characters that are not printable are escaped."""
    line = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in str(text)
    )
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..."
