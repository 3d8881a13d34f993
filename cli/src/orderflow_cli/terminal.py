"""Text that came from elsewhere, made fit to be shown: used by the commands that list what services stored."""


def printable(text: str, width: int = 100) -> str:
    """Return the beginning of a text, without what could command a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:width])
