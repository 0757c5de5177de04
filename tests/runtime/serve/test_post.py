import asyncio
import threading

from accel.runtime.serve.post import Post


async def put_by_others(post: Post, count: int, threads: int) -> list[tuple[int, int]]:
    loop, found, came = asyncio.get_running_loop(), [], asyncio.Event()

    def take(what: tuple[int, int]) -> None:
        found.append(what)
        if len(found) == count * threads:
            came.set()

    def put(thread: int) -> None:
        for number in range(count):
            post.put(loop, take, (thread, number))

    for thread in range(threads):
        threading.Thread(target=put, args=(thread,)).start()
    async with asyncio.timeout(30):
        await came.wait()
    return found


def test_all_that_threads_put_comes_in_their_order():
    found = asyncio.run(put_by_others(Post(), 2000, 4))
    for thread in range(4):
        assert [number for by, number in found if by == thread] == list(range(2000))


def test_the_loop_is_woken_once_for_all_that_came_meanwhile(monkeypatch):
    async def main() -> int:
        loop, post, woken, found = asyncio.get_running_loop(), Post(), 0, []
        wake = loop.call_soon_threadsafe

        def counted(*words):
            nonlocal woken
            woken += 1
            return wake(*words)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for round in range(2):
            for number in range(10):
                post.put(loop, found.append, (round, number))
            await asyncio.sleep(0)
        assert found == [(round, number) for round in range(2) for number in range(10)]
        return woken

    assert asyncio.run(main()) == 2


def test_a_loop_that_has_ended_is_no_matter():
    loop = asyncio.new_event_loop()
    loop.close()
    Post().put(loop, print, "nobody")
