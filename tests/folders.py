"""What is in a folder while a service makes and removes things there."""

import os
import pathlib


def below(folder):
    """Each file and folder below a folder. What goes meanwhile is left out.

    Path.rglob() fails if a folder goes between being listed and being entered.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield pathlib.Path(parent, name)
