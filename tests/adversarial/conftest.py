"""The circuits under attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.adversarial.models import chains, channels, copied, curves, everything, idle, picture, views
from tests.adversarial.subject import Subject


def _subject(make: Callable[[], Any], lanes: int, weight_columns: int, copying: int = 0) -> Any:
    @pytest.fixture(scope="session")
    def fixture() -> Subject:
        return Subject(make(), lanes, weight_columns, copying)

    return fixture


subject = _subject(everything, 4, 2)
copying = _subject(copied, 2, 1)
idling = _subject(idle, 3, 1)
drawing = _subject(picture, 2, 2)
wide_drawing = _subject(picture, 4, 3)
grouped = _subject(channels, 2, 2)
viewing = _subject(views, 2, 1)
curved = _subject(curves, 2, 2)
drawing_in_few_lanes = _subject(picture, 4, 3, 1)
viewing_in_few_lanes = _subject(views, 3, 1, 2)
chained = _subject(chains, 2, 2)
