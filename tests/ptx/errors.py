"""What the interpreter says instead of guessing."""


class Refused(Exception):
    """The program uses something the interpreter does not model."""


class Fault(Exception):
    """The program did something that a GPU would not do reliably."""
