"""Memory that is taken shows, and as what it is."""

import mmap
import os
import subprocess
import sys

from accel.devices.resident import resident

SIZE = 32 * 2**20


def test_memory_that_is_taken_and_touched_is_anonymous():
    before = sum(resident())
    taken = bytearray(os.urandom(SIZE))
    assert sum(resident()) - before > 0.9 * len(taken)


def test_pages_of_a_file_are_mapped(tmp_path):
    file = tmp_path / "pages"
    file.write_bytes(os.urandom(SIZE))
    anonymous, mapped = resident()
    if not mapped:
        return  # a system that does not tell them apart
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[:: mmap.PAGESIZE]) > 0
        after = resident()
    assert after[1] - mapped > 0.9 * SIZE > after[0] - anonymous


def test_of_another_process_and_of_one_that_has_gone():
    code = "print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout and child.stdout.readline()
        assert sum(resident(child.pid)) > 2**20
        child.stdin.write(b"\n")
    assert resident(child.pid) == (0, 0)


FREED = """
from accel.devices.resident import give_back_freed_memory, resident
give_back_freed_memory()
bytearray(b"x") * 2**24  # what glibc has seen freed once it keeps the next time
before, kept = resident()[0], []
blocks = [(bytearray(b"x") * (5 * 2**20), kept.append(bytes(2**12))) for _ in range(12)]
del blocks
print(int(resident()[0] - before))
"""


def test_large_blocks_that_are_freed_go_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20
