"""Has what a model's stand-ins cost measured in a process of its own, and keeps it beside them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

import msgspec

from .. import errors
from ..devices.probe import probe
from ..errors import Cancelled, EngineError
from ..units import from_json, to_json
from .measure_quality import Line, QualityJob
from .quality import Quality
from .quality_file import save_qualities

Progress = Callable[[str, float], bool]  # what is being done and how much of it is; False: no more, please

TOKENS, SECONDS = 512, 1800.0  # that are measured on, and that all of it takes at most


def learn_quality(
    model: Path,
    stand_ins: Path,
    text: str = "",
    tokens: int = TOKENS,
    progress: Progress = lambda doing, done: True,
) -> tuple[Quality, ...]:
    """On the model's own writing, or on a text. Kept only once all is measured.

    Raises what the measuring process raises, EngineError where it dies, Cancelled, or what a folder without room does.
    """
    job = QualityJob(
        model=str(model),
        stand_ins=str(stand_ins),
        folder=str(stand_ins.absolute().parent),
        threads=probe().processor.cores,
        tokens=tokens,
        seconds=SECONDS,
        text=text,
    )
    found = _measured(job, progress)
    save_qualities(stand_ins, found)
    return found


def _measured(job: QualityJob, progress: Progress) -> tuple[Quality, ...]:
    """The process ends with this one, and when it is no longer wanted."""
    command = [sys.executable, "-P", "-m", f"{__package__}.measure_quality"]
    with TemporaryFile() as said:  # a pipe that nobody reads would fill up
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        try:
            assert child.stdin and child.stdout
            child.stdin.write(to_json(job) + b"\n")
            child.stdin.flush()
            for raw in child.stdout:
                line = from_json(raw, Line)
                if line.failure:
                    raised = getattr(errors, line.failure.kind, EngineError)
                    raise raised(line.failure.what, line.failure.do)
                if line.found is not None:
                    return line.found
                if not progress(line.doing, line.done):
                    raise Cancelled("measuring the quality was stopped")
        except (OSError, msgspec.MsgspecError) as error:
            raise EngineError(f"the quality could not be measured: {error}", "see `accel doctor`") from error
        finally:
            child.kill()
            child.communicate()
        said.seek(0)
        last = (said.read().decode(errors="replace").strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    raise EngineError(f"the engine failed while the quality was measured: {last[:200]}", "see `accel doctor`")
