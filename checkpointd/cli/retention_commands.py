"""placeholder."""


def add_to(app) -> None:
    pass
