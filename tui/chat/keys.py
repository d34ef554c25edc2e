"""API keys: from the environment, else from the keyring of the user's desktop or server. Never from a file of ours.

``keyring`` is an optional library: a headless machine seldom has a secret service, and then the environment is enough.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tui.errors import HeftError, NotAllowedError

SERVICE = "heft"


def find_key(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """The key that goes under the name ``variable``; empty when it is in neither place."""
    if not variable:
        return ""
    key = (os.environ if environment is None else environment).get(variable, "")
    return key or _from_keyring(variable)


def need_key(variable: str, name: str, environment: Mapping[str, str] | None = None) -> str:
    """The same; raises ``NotAllowedError`` when a key is named and found nowhere."""
    key = find_key(variable, environment)
    if variable and not key:
        raise NotAllowedError(
            f"{name} needs a key in {variable}, which is not set",
            f"export {variable}=... and try again, or keep it in the keyring: heft endpoints key {variable}",
        )
    return key


def keep_key(variable: str, key: str) -> None:
    """Put a key into the keyring, or take it out when ``key`` is empty; raises ``HeftError`` where there is none."""
    library = _library()
    if library is None:
        raise HeftError("the keyring library is not installed", f"pip install keyring, or export {variable}=...")
    try:
        if key:
            library.set_password(SERVICE, variable, key)
        else:
            library.delete_password(SERVICE, variable)
    except Exception as error:  # every backend has errors of its own
        raise HeftError(
            f"the keyring did not take it: {type(error).__name__}", f"export {variable}=... instead"
        ) from None


def _from_keyring(variable: str) -> str:
    library = _library()
    try:
        return str(library.get_password(SERVICE, variable) or "") if library is not None else ""
    except Exception:  # a locked or missing secret service is the same as no key
        return ""


def _library() -> Any:
    try:
        import keyring
    except ImportError:
        return None
    return keyring
