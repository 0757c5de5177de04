"""What the kernel allows, less what a process has and will need."""

from accel.devices.mappings import most_mappings


def test_what_is_left_is_the_limit_less_the_present_ones(tmp_path):
    assert 0 < most_mappings(tmp_path) < 65_530  # where nothing is known
    (tmp_path / "proc/sys/vm").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/sys/vm/max_map_count").write_text("1000000\n")
    (tmp_path / "proc/self/maps").write_text("a line\n" * 300)
    assert most_mappings(tmp_path) == 1_000_000 - 300 - 2_000
    (tmp_path / "proc/sys/vm/max_map_count").write_text("100\n")
    assert most_mappings(tmp_path) == 0
