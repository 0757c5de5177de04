"""Machine cards: every one loads, every fact has its source, and what makes no sense is refused."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accel.devices.cards as cards
from accel.devices.cards import card_names, load_card, read_card
from accel.devices.machine import Machine
from accel.errors import UsageError

FOLDER = Path(cards.__file__).parent
GOOD = (FOLDER / "desktop-rtx3060.toml").read_text()


def facts(table: dict, prefix: str = "") -> set[str]:
    """Dotted names of all facts of a card; the entries of a list share theirs."""
    names: set[str] = set()
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            names |= facts(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            names |= set().union(*(facts(entry, f"{name}.") for entry in value))
        else:
            names.add(name)
    return names


def test_the_machines_that_people_have_are_there() -> None:
    machines = [load_card(name) for name in card_names()]
    assert len(machines) >= 8
    assert any(not m.accelerators and 15 < m.memory.total.gib < 16 for m in machines)
    assert {a.memory.gib for m in machines for a in m.accelerators} >= {8, 12, 24}
    assert sum(a.unified for m in machines for a in m.accelerators) == 2
    assert any(m.processor.threads == 4 and m.page == 16384 for m in machines)


@pytest.mark.parametrize("name", card_names())
def test_every_fact_has_a_source_and_every_source_a_fact(name: str) -> None:
    card = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    sources = card.pop("sources")
    named = facts(card)
    unsaid = {fact for fact in named if not any(fact == part or fact.startswith(f"{part}.") for part in sources)}
    assert unsaid == set()
    assert all(any(f"{fact}.".startswith(f"{part}.") for fact in named) for part in sources)
    assert all(len(source) > 8 for source in sources.values())


@pytest.mark.parametrize("name", card_names())
def test_more_threads_read_no_less(name: str) -> None:
    processor = load_card(name).processor
    assert len(processor.bandwidth) == processor.threads
    assert list(processor.bandwidth) == sorted(processor.bandwidth)


@pytest.mark.parametrize("name", card_names())
def test_a_card_goes_through_json_unchanged(name: str) -> None:
    machine = load_card(name)
    assert Machine.from_json(machine.to_json()) == machine


def test_an_unknown_card_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError) as caught:
        load_card("desktop-4090")
    assert caught.value.do.startswith("the nearest is desktop-rtx4090 of ")
    assert all(name in caught.value.do for name in card_names())


def test_a_name_like_none_names_all_cards() -> None:
    with pytest.raises(UsageError) as caught:
        load_card("?")
    assert str(caught.value) == f"there is no machine card '?'; there are {', '.join(card_names())}"


@given(st.text(max_size=40))
def test_any_other_name_is_refused(name: str) -> None:
    if name not in card_names():
        with pytest.raises(UsageError):
            load_card(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cores = 6", "cores = 6\nspeed = 9"),  # an unknown key
        ("[memory]\n", "[memory]\nlimited_by = 'me'\n"),
        ("cores = 6", "cores = '6'"),
        ("cores = 6", ""),
        ("cores = 6", "cores = 0"),
        ("cores = 6", "cores = 13"),
        ('free = "27GiB"', 'free = "57GiB"'),
        ('free = "11.3GiB"', 'free = "13GiB"'),
        ('free = "27GiB"', 'free = "much"'),
        ('free = "27GiB"', "free = 27"),
        ("read = 2.8e9", "read = -1"),
        ("read = 2.8e9", "read = inf"),
        ("read = 2.8e9", "read = nan"),
        ("[processor]", "[processor"),
        ("threads = 12", "threads = 1000000000"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError):
        read_card(GOOD.replace(old, new))
