"""What every place that keeps secrets has in common: how it says no, and what a value must be. Pure."""

LEAST_CHARACTERS = 4  # anything shorter would mask half of every log, or nothing of it
MOST_BYTES = 16_384  # a certificate with its chain and key; what is larger is a file, not a secret


class Unreachable(Exception):
    """The place does not answer, or is sealed: nothing is wrong with the request. Try again later."""


class Gone(Exception):
    """The place answers, and does not have this version, or does not give it out."""


def fault(value: bytes) -> str:
    """Why this cannot be a secret, in a sentence that tells nothing of it; empty when it can."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "A secret is text in UTF-8; encode other bytes, for instance as base64."
    if "\0" in text:
        return "A secret holds no zero byte."
    if len(text.strip()) < LEAST_CHARACTERS:
        return (
            f"A secret has at least {LEAST_CHARACTERS} characters: a shorter one cannot be masked in a log."
        )
    if len(value) > MOST_BYTES:
        return f"A secret has at most {MOST_BYTES} bytes."
    return ""
