"""Has what a model's stand-ins cost measured in a process of its own, and keeps it beside them."""

from pathlib import Path

from ..devices.probe import probe
from .lines import Progress, ask
from .measure_quality import QualityJob
from .quality import Quality
from .quality_file import save_qualities

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
    found = ask("measure_quality", job, tuple[Quality, ...], "the quality", progress)
    save_qualities(stand_ins, found)
    return found
