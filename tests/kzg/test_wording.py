"""How messages name an option, in Python and on the command line."""

from __future__ import annotations

import pytest

from plonnx.kzg import wording
from plonnx.kzg.wording import option


@pytest.mark.parametrize(
    ("parameter", "value", "python", "shell"),
    [
        ("margin", "", "margin", "--margin"),
        ("weight_bits", "12", "weight_bits=12", "--weight-bits 12"),
        ("dims", "time=..", "dims={'time': ..}", "--dim time=.."),
        ("shapes", "a=b=1,3", "shapes={'a=b': (1,3)}", "--shape a=b=1,3"),
    ],
)
def test_options_are_named_as_their_user_gives_them(
    monkeypatch: pytest.MonkeyPatch, parameter: str, value: str, python: str, shell: str
) -> None:
    assert option(parameter, value) == python
    monkeypatch.setattr(wording._Speech, "shell", True)
    assert option(parameter, value) == shell
