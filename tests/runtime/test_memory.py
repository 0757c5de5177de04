"""A worker holds no more than its plan allows, whatever is asked of it."""

import pytest

from accel.devices.resident import resident
from accel.runtime.calibrate import known_costs
from accel.runtime.demo import target
from accel.runtime.footprint import of_worker
from accel.runtime.model import ModelSpec
from accel.runtime.open import drafting_options
from accel.runtime.plan import Plan, engine_options, make_plan
from accel.runtime.planning import probe
from accel.runtime.search import Goal
from accel.runtime.supervisor import Supervisor
from accel.tools.bench.held import Peak, exercise

if not resident()[1]:
    pytest.skip("this system does not tell anonymous from mapped memory", allow_module_level=True)


@pytest.mark.parametrize(("context", "drafting"), [(512, False), (2048, False), (2048, True)])
def test_a_worker_that_answers_saves_and_loads_stays_within_its_plan(context, drafting, tmp_path, home):
    machine, model, goal = probe(), ModelSpec.read(target()), Goal(context=context, drafting=drafting)
    plan = make_plan(machine, model, goal, known_costs(machine, model, goal, tmp_path))
    assert isinstance(plan, Plan) and bool(plan.speculation) == drafting
    with Peak(worker := Supervisor("llamacpp", engine_options(plan), drafting_options(plan))) as peak, worker:
        exercise(worker, context, tmp_path)
    anonymous, mapped, _ = of_worker(plan.memory)
    assert 0.6 * anonymous < peak.anonymous <= anonymous
    assert 0.6 * mapped < peak.mapped <= mapped
