"""accel runs the language model you have on the machine you have.

    import accel

    with accel.open("model.gguf", temperature=0.2) as model:
        chat = model.session()
        print(chat.answer("What is the capital of France?"))

`errors.py` draws what can be raised; `runtime/settings.py` lists what `open` takes.
"""

from typing import TYPE_CHECKING, Any

from .errors import AccelError

if TYPE_CHECKING:
    from .runtime.open import Opened

__all__ = ["AccelError", "open"]


def open(model: str = "", **settings: Any) -> "Opened":
    """Plans for a model and starts a worker that runs it: a GGUF file, `hf:owner/repo[:file]`, or the demo model.

    `settings` go before the environment and `accel.toml`, as flags do. Raises SettingError, ModelError, PlanRefused,
    NetworkError, DiskFull, EngineError.
    """
    from .runtime.open import open_model
    from .runtime.settings import resolve

    return open_model(resolve({"model": str(model), **settings}))
