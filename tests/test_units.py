import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import UsageError
from accel.units import Bytes, Rate, from_json, to_json


@pytest.mark.parametrize(
    ("text", "size"),
    [("6GiB", 6 * 2**30), ("512 MiB", 512 * 2**20), ("1.5g", 1_500_000_000), ("4096", 4096), ("2kb", 2000), ("7 B", 7)],
)
def test_a_size_is_read_as_people_write_it(text, size):
    assert Bytes.parse(text) == size


@pytest.mark.parametrize("text", ["", "six", "-1GiB", "1e9", "1GiBs", "9" * 40, "nan", "1 000"])
def test_what_is_no_size_is_a_usage_error(text):
    with pytest.raises(UsageError, match="no size"):
        Bytes.parse(text)


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_sums_and_differences_of_sizes_are_sizes(a, b):
    assert isinstance(Bytes(a) + b, Bytes)
    assert isinstance(a + Bytes(b), Bytes)
    assert isinstance(Bytes(a) - b, Bytes)
    assert sum([Bytes(a), Bytes(b)], Bytes(0)) == a + b


@given(st.integers(0, 2**53 - 1), st.floats(0, 1e15))
def test_sizes_and_rates_keep_their_type_through_json(size, rate):
    assert repr(from_json(to_json(Bytes(size)), Bytes)) == f"Bytes({size})"
    assert repr(from_json(to_json(Rate(rate)), Rate)) == f"Rate({rate})"


def test_sizes_print_with_the_unit_a_reader_expects():
    assert [str(Bytes(n)) for n in (12, 2048, 3 * 2**20, 40 * 2**30)] == ["12 B", "2.00 KiB", "3.00 MiB", "40.0 GiB"]
    assert f"{Rate(2**31):>12}" == "  2.00 GiB/s"
