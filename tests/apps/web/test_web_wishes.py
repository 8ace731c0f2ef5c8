"""Settings that come faster than they can be shown: applied together, none lost."""

from __future__ import annotations

import asyncio

import pytest
from streamavis_apps.web.settings import Controls
from streamavis_apps.web.wishes import CHANGES_PER_S, Wishes

from streamavis.errors import SchemaError


def test_a_flood_of_settings_is_applied_a_few_times_and_its_last_values_count():
    async def run():
        controls, applied = Controls(), []
        controls.follow(applied.append)
        wishes = Wishes(controls, clock=lambda: 0)
        for number in range(10_000):
            wishes.add(b'{"score_from": %f}' % (number / 20_000))
        wishes.add(b'{"stride": 7}')
        await wishes.applied()
        assert len(applied) <= 5
        assert (applied[-1].score_from, applied[-1].stride) == (0.49995, 7)
        return applied

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_few_changes_are_applied_at_once():
    async def run():
        controls = Controls()
        wishes = Wishes(controls)
        wishes.add(b'{"stride": 2}')
        wishes.add(b'{"stride": 3}')
        assert controls.settings.stride == 3

    asyncio.run(run())
    assert CHANGES_PER_S <= 20


@pytest.mark.parametrize(
    "data", [b"[]", b"", b"\xff", b'{"stride": 0}', b'{"hidden": ' + b"[" * 30_000, b'{"a": 1}']
)
def test_what_is_refused_leaves_what_waits_as_it_is(data):
    async def run():
        controls = Controls()
        wishes = Wishes(controls, clock=lambda: 0)
        for stride in (2, 3, 4, 5):
            wishes.add(b'{"stride": %d}' % stride)
        with pytest.raises(SchemaError, match="are refused"):
            wishes.add(data)
        await wishes.applied()
        assert controls.settings.stride == 5

    asyncio.run(asyncio.wait_for(run(), 60))
