"""Whatever tree is grown, cut or ended: the cells that carry a branch's number are those of its path, no others."""

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.engines.llama_tree import END, Tree

MAIN, NUMBERS, LENGTH = 0, range(1, 7), 3


class Cells:
    """A cache: of every cell its position and the numbers on it."""

    def __init__(self) -> None:
        self.cells = [(position, {MAIN}) for position in range(LENGTH)]

    def remove(self, number: int, first: int = 0, end: int = END) -> None:
        for position, numbers in self.cells:
            if position >= first and (end == END or position < end):
                numbers.discard(number)

    def copy(self, source: int, target: int, first: int, end: int) -> None:
        for position, numbers in self.cells:
            if source in numbers and first <= position < end:
                numbers.add(target)

    def seen(self, number: int, position: int) -> list[int]:
        """The cells that a row of this number at this position sees, itself last."""
        found = [i for i, (at, numbers) in enumerate(self.cells) if number in numbers and at <= position]
        return sorted(found, key=lambda i: self.cells[i][0])


def grow(cells: Cells, tree: Tree, batch: list[int], nodes: list[int]) -> None:
    """Forwards one batch of parents; `nodes` gets the cell of every node."""
    first = len(nodes)
    placed = []
    for parent in batch:
        parent = parent % (len(nodes) + 1) - 1
        place = tree.grow(parent, first)
        if place is None:
            continue
        nodes.append(len(cells.cells))
        cells.cells.append((place.position, {place.branch}))
        for node in place.sharing:
            cells.cells[nodes[node]][1].add(place.branch)
        placed.append((len(nodes) - 1, place))
    for node, place in placed:
        assert cells.seen(place.branch, place.position) == [*range(LENGTH), *(nodes[n] for n in path(tree, node))]


def path(tree: Tree, node: int) -> list[int]:
    found = []
    while node >= 0:
        found.insert(0, node)
        node = tree.parents[node]
    return found


batches = st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=6), min_size=1, max_size=4)


@given(before=batches, kept=st.integers(0, 1000), after=batches, chosen=st.integers(0, 1000))
def test_every_row_sees_its_path_and_the_end_leaves_one(before, kept, after, chosen):
    cells, free, nodes = Cells(), list(NUMBERS), []
    tree = Tree(cells, free, MAIN, LENGTH, 0)
    for batch in before:
        grow(cells, tree, batch, nodes)
    count = kept % (len(nodes) + 1)
    tree.cut(count)
    del nodes[count:]
    for batch in after:
        grow(cells, tree, batch, nodes)
    stand = path(tree, chosen % (len(nodes) + 1) - 1)
    tree.end(stand)
    assert sorted(free) == list(NUMBERS)
    left = [i for i, (_, numbers) in enumerate(cells.cells) if numbers]
    assert left == sorted([*range(LENGTH), *(nodes[node] for node in stand)])
    assert all(cells.cells[i][1] == {MAIN} for i in left)


@given(parents=st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_numbers_are_taken_for_leaves_beyond_the_first_alone(parents):
    cells, free = Cells(), list(NUMBERS)
    tree = Tree(cells, free, MAIN, LENGTH, 0)
    grow(cells, tree, parents, [])
    leaves = len(tree.parents) - len(set(tree.parents) - {-1})
    assert len(NUMBERS) - len(free) == leaves - 1
