"""Several failures of one test, through pytest's subtests where there are any."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def each_as_subtest(
    request: pytest.FixtureRequest, errors: Iterable[tuple[str, Exception]]
) -> bool:
    """Report each error as a subtest with a name. False where there is no fixture ``subtests``:
    with a pytest before 9 that has no plugin pytest-subtests either."""
    try:
        subtests = request.getfixturevalue("subtests")
    except pytest.FixtureLookupError:
        return False
    for name, error in errors:
        with subtests.test(msg=name):
            raise error
    return True
