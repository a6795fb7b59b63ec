"""The field of a list of words."""

import re
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

BETWEEN = re.compile(r"[,，、;；\n]")


class Words(forms.Field):
    """A list of words, written in one line with commas between them."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        words = (word.strip() for word in BETWEEN.split(str(value or "")))
        return list(dict.fromkeys(word for word in words if word))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != self.to_python(data)
