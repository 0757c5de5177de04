"""A model is served as another one was: no less by stand-ins, and about as much missed, after few passes."""

from hypothesis import example, given
from hypothesis import strategies as st

from accel.offload.counts import Shares
from accel.tools.bench.match import Setting, match, meets


class Model:
    """What is missed grows with what is left out; stand-ins serve of the misses what their threshold says."""

    def __init__(self, slots: int = 96, bent: float = 1.0) -> None:
        self.slots, self.bent, self.passes = slots, bent, 0

    def __call__(self, setting: Setting) -> Shares:
        self.passes += 1
        kept = int(setting.share * self.slots) / self.slots
        beyond = (1 - setting.skip) ** self.bent
        missed = 0.8 * (1 - kept) * (1 + 0.3 * beyond)
        left_out = missed * beyond
        return Shares(missed, max(0.0, missed * (1 - setting.low) ** self.bent - left_out), left_out)


@given(st.floats(0.2, 0.9), st.floats(0.3, 1), st.floats(0.6, 1), st.floats(0.8, 1.3))
@example(0.859375, 0.6875, 0.671875, 0.8125)
def test_what_can_be_met_is_met_after_few_passes(share, low, skip, bent):
    model = Model(bent=bent)
    asked, model.passes = model(Setting(share, low * skip, skip)), 0
    found = match(model, asked, 0.1)
    assert found.met and meets(found.found, asked) and model.passes <= 40
    assert model(found.setting) == found.found


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_what_cannot_be_met_ends_too_and_is_said(missed, low, skipped):
    model, asked = Model(), Shares(missed, low, skipped)
    found = match(model, asked, 0.1)
    assert found.met == meets(found.found, asked)
    assert model.passes <= 150 and 0.1 <= found.setting.share <= 1
    assert 0 <= found.setting.low <= 1 and 0 <= found.setting.skip <= 1


def test_less_than_is_asked_does_not_meet_it():
    asked = Shares(0.3, 0.2, 0.03)
    assert meets(asked, asked) and meets(Shares(0.305, 0.21, 0.033), asked)
    for other in (Shares(0.3, 0.199, 0.03), Shares(0.3, 0.2, 0.029), Shares(0.32, 0.2, 0.03), Shares(0.3, 0.3, 0.03)):
        assert not meets(other, asked)
