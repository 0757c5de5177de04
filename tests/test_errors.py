import inspect

import pytest

from accel import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AccelError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_of_its_own_and_stands_in_the_drawn_tree(kind):
    assert kind in errors.STATUS
    assert kind.__name__ in (errors.__doc__ or "")


def test_exit_codes_tell_errors_apart():
    codes = [status.exit for status in errors.STATUS.values()]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 or code == 130 for code in codes)


def test_the_drawn_tree_is_the_real_one():
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.isidentifier() and hasattr(errors, word)), None)
        if name is None or not line.startswith("    "):
            continue
        depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
        parents[depth:] = [name]
        if depth:
            assert getattr(errors, name).__base__.__name__ == parents[depth - 1]
    assert parents


def test_an_error_says_what_happened_and_what_to_do():
    assert str(errors.ModelMissing("there is no 'x.gguf'", "check the path")) == "there is no 'x.gguf'; check the path"
    assert str(errors.EngineError("it failed")) == "it failed"


def test_a_subclass_without_a_row_takes_its_ancestors_status():
    class Odd(errors.WorkerDied):
        pass

    assert errors.status(Odd("x")) == errors.STATUS[errors.WorkerDied]
