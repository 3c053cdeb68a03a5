"""A thousand ScopedKeys in a namespace: time to program one more, writes of a rotation, memory of operator and router.

A real API server and two real Envoys; kubelet and workload controllers are played as in tests/crash. It is
looked at with one key, then with all of them. Takes about six minutes, and root.

.venv/bin/python tests/bench/bench_keys.py [KEYS]
"""

import asyncio
import base64
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from crash.install import KEY, ROOT
from crash.lane import Lane
from crash.lanes import lanes
from harness import session
from harness.cluster import ApiServer
from harness.manifests import key

KEYS, MORE, AT_ONCE = 1_000, 20, 4
"""Keys; how many more are timed one by one; requests at a time with which the first ones are made."""


async def made(lane: Lane, name: str) -> str:
    """Make a key, and wait for its token in its Secret."""
    document = key(name)
    await lane.admin.create(f"scopedkeys/{name}", {**document, "metadata": {"name": name}})

    async def token() -> str:
        found = await lane.admin.find(f"secrets/{name}")
        return base64.b64decode(found["data"]["OPENAI_API_KEY"]).decode() if found else ""

    return str(await lane.until(token, f"the Secret of {name}", patience_s=600))


async def timed(lane: Lane, name: str) -> float:
    """Seconds from the write of one more key until both routers let its token in."""
    began = time.monotonic()
    token = await made(lane, name)
    while await lane.answers(token) != {200}:
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def rotation(lane: Lane) -> tuple[float, Counter[str]]:
    """Seconds of a whole rotation with two programs and two Secrets, and its writes by what they write."""
    await lane.quiet()
    lane.writes.clear()
    began = time.monotonic()
    await lane.rotate()
    await lane.ended()
    await lane.settled()
    took = time.monotonic() - began
    await lane.quiet()
    # Statuses of the other keys tell when they were used last, a while after they were.
    return took, Counter(write.what for write in lane.writes if "scopedkeys/more-" not in write.what)


def megabytes(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def look(lane: Lane, keys: int, first: int) -> None:
    """Measure at so many keys, and print."""
    times = [await timed(lane, f"more-{first + n}") for n in range(MORE)]
    took, writes = await rotation(lane)
    routers = [megabytes(router.pid) for router in lane.routers]
    print(f"{keys} keys:")
    print(f"  one more, until two routers take it: p50 {statistics.median(times):.2f} s, max {max(times):.2f} s")
    print(f"  a rotation: {took:.1f} s, {writes.total()} writes")
    for what, count in writes.most_common():
        print(f"    {count:3} {what}")
    print(f"  memory: operator {megabytes(lane.operator):.0f} MB, routers {', '.join(f'{m:.0f}' for m in routers)} MB")
    print(f"  operator's processor time so far: {seconds(lane.operator):.0f} s", flush=True)


def seconds(pid: int) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measure(api: ApiServer, folder: Path, keys: int) -> None:
    """All of it."""
    async with lanes(Lane, api, folder, range(1)) as [lane]:
        await look(lane, 1, 0)
        began, turns = time.monotonic(), asyncio.Semaphore(AT_ONCE)

        async def one(n: int) -> str:
            async with turns:
                return await made(lane, f"key-{n}")

        tokens = await asyncio.gather(*(one(n) for n in range(keys - 1 - MORE)))
        while await lane.answers(tokens[-1]) != {200}:
            await asyncio.sleep(0.1)
        print(f"made {len(tokens)} keys in {time.monotonic() - began:.0f} s, {AT_ONCE} at a time")
        await lane.quiet()
        await look(lane, keys, MORE)


def main(keys: int) -> None:
    """Print what was measured."""
    with session.control_plane() as plane, tempfile.TemporaryDirectory() as folder:
        api = ApiServer(plane)
        api.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        api.kubectl("wait", "--for=condition=Established", "crd", "--all")
        print(f"the key that rotates: {KEY}")
        api.namespace.call(lambda: asyncio.run(measure(api, Path(folder), keys)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else KEYS)
