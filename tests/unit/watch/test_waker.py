"""The waker: a burst is one run, a stream of events is not put off for ever, and urgent is at once."""

import asyncio

from turnout.watch.waker import Waker


async def time_until_run(waker: Waker) -> float:
    """Seconds until the run."""
    clock = asyncio.get_running_loop().time
    start = clock()
    await asyncio.wait_for(waker.wait(), 2)
    return clock() - start


async def test_a_burst_is_one_run_after_a_moment_of_quiet() -> None:
    """Everything that came before the run is taken by it."""
    waker = Waker(quiet_s=0.05, at_most_s=1)
    for _ in range(5):
        waker.wake()
    assert 0.04 <= await time_until_run(waker) < 0.5
    assert not waker.pending


async def test_a_stream_of_events_cannot_put_a_run_off() -> None:
    """It happens after at_most_s, quiet or not."""
    waker = Waker(quiet_s=0.1, at_most_s=0.25)

    async def keep_waking() -> None:
        while True:
            waker.wake()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(keep_waking())
    await asyncio.sleep(0)
    assert 0.2 <= await time_until_run(waker) < 0.8
    task.cancel()


async def test_an_urgent_call_waits_for_no_quiet() -> None:
    """Nor does one that comes while quiet is waited for."""
    waker = Waker(quiet_s=5, at_most_s=10)
    waker.wake()
    asyncio.get_running_loop().call_later(0.05, lambda: waker.wake(urgent=True))
    assert await time_until_run(waker) < 1


async def test_an_alarm_runs_by_itself_and_only_the_last_one_counts() -> None:
    """An earlier run takes the alarm with it."""
    waker = Waker(quiet_s=0, at_most_s=1)
    waker.wake_in(60)
    waker.wake_in(0.05)
    assert await time_until_run(waker) < 1
    waker.wake_in(0.05)
    waker.wake(urgent=True)
    await waker.wait()
    await asyncio.sleep(0.1)
    assert not waker.pending
