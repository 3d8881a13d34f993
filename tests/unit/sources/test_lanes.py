"""What has one key is done in order; what has another does not wait for it."""

import asyncio

from orderflow_sources.lanes import Lanes


async def test_one_key_is_one_after_another_and_others_go_beside() -> None:
    """The second of a key begins when the first has ended, even by an error; another key has begun long before."""
    lanes, said, gate = Lanes(), list[str](), asyncio.Event()

    async def work(name: str, *, fails: bool = False) -> None:
        said.append(f"{name} begins")
        await gate.wait()
        if fails:
            raise OSError(name)
        said.append(f"{name} ends")

    lanes.add("a", work("a1", fails=True))
    lanes.add("a", work("a2"))
    lanes.add("b", work("b1"))
    await asyncio.sleep(0.01)
    assert said == ["a1 begins", "b1 begins"]
    gate.set()
    await lanes.rest(1)
    assert said[2:] == ["b1 ends", "a2 begins", "a2 ends"]
    await lanes.clear()


async def test_cleared_lanes_leave_nothing_under_way() -> None:
    """What waits behind another never begins."""
    lanes, begun = Lanes(), list[int]()

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    for number in range(3):
        lanes.add("a", work(number))
    await asyncio.sleep(0.01)
    await lanes.rest(0.01)
    await lanes.clear()
    assert begun == [0]
    assert len(asyncio.all_tasks()) == 1
