"""Small apps whose links a test has to repair."""

import pytest

from sync_pipeline_tests.fixtures.bubble_system import (
    INVOICE,
    BubbleSystem,
)
from sync_pipeline_tests.systems.bubble.patch_runs import (
    LINK,
    link_of,
)


@pytest.fixture
def unlinked(tiny: BubbleSystem) -> BubbleSystem:
    """The invoice does not name its registration, in the app and here; the registration names it."""
    tiny.touch_there("invoice", INVOICE, **{LINK: None})
    assert tiny.run("bubble_full", "invoice").success
    assert link_of(tiny) is None
    return tiny
