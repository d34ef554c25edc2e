"""What panes and screens ask for, as messages: a class with its fields, as in a dataclass.

Forty of them are defined before the first frame. ``dataclass`` writes and compiles code for each, which took a
twentieth of the time to that frame; this base only remembers the names of the fields.
"""

from __future__ import annotations

from inspect import get_annotations
from typing import Any, ClassVar, dataclass_transform

from textual.message import Message


@dataclass_transform(eq_default=False)
class Request(Message):
    """A message whose annotations are its fields, in their order; what stands behind one is its default."""

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._fields = (*cls._fields, *get_annotations(cls))

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        if len(values) > len(self._fields):
            raise TypeError(f"{type(self).__name__} takes {len(self._fields)} values, not {len(values)}")
        given = dict(zip(self._fields, values, strict=False)) | named
        for name in self._fields:
            if name in given:
                setattr(self, name, given.pop(name))
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} needs {name}")
        if given:
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")
