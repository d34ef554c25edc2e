"""The app: the only part that knows Textual and Rich.

Textual reads its environment once, when it is imported, so what a slow line needs is set here, before any of it loads:
over SSH (or where the settings say so) the screen is drawn at most ten times a second and nothing is animated; nearby
thirty times, which no eye tells from sixty and a terminal does. A user's own TEXTUAL_ variables win.
"""

import os

from tui.paths import Paths
from tui.settings import load_settings


def is_far(connection: str) -> bool:
    """Whether the terminal is at the other end of a slow line: ``connection`` is a setting, "auto" looks for SSH."""
    under_ssh = any(name in os.environ for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))
    return connection == "ssh" or (connection == "auto" and under_ssh)


FAR = is_far(load_settings(Paths.from_environment().settings_file).interface.connection)
os.environ.setdefault("TEXTUAL_FPS", "10" if FAR else "30")
if FAR:
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
