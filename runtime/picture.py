"""Recorded routing as a picture: what a cache kept while tokens passed, and how often each policy hit in each layer."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..devices.files import write_atomic
from ..errors import AccelError
from ..offload.compare import BEST, compare, even_quotas
from ..offload.policy import make_policy
from ..offload.replay import resident
from ..offload.trace import Trace

_LAYERS = 3  # whose experts are drawn: the first, one in the middle, the last
_COLOURS = ("#f2f2f2", "#a9c4de", "#1f5a94", "#d1495b")  # absent, kept, used and there, used and read
_WORDS = ("not kept", "kept", "used", "used, and had to be read")


def check() -> None:
    """Raises AccelError where no picture can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AccelError("a picture needs matplotlib", "pip install 'accel-runtime[picture]'") from error


def draw(path: Path, trace: Trace, share: float) -> None:
    """Writes a PNG, with this share of the experts kept. Raises AccelError without matplotlib, DiskFull."""
    check()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = sorted({round(place * (trace.layers - 1) / (_LAYERS - 1)) for place in range(_LAYERS)})
    figure = Figure(figsize=(11, 2.2 * len(layers) + 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    *above, below = figure.subplots(len(layers) + 1, 1, gridspec_kw={"height_ratios": [1.0] * len(layers) + [1.4]})
    states = kept_states(trace, even_quotas(trace, share))
    for axes, layer in zip(above, layers, strict=True):
        _draw_states(axes, states[:, layer].T, layer, last=layer == layers[-1])
    figure.suptitle(f"What was used last is kept: {share:.0%} of the experts, {trace.tokens} tokens")
    _draw_legend(above[0])
    _draw_hits(below, trace, share)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=110)
    write_atomic(path, png.getvalue())


def kept_states(trace: Trace, quotas: tuple[int, ...]) -> np.ndarray:
    """Of every expert while every token passes, by LRU: 0 absent, 1 kept, 2 used and there, 3 used and read; uint8 of
    shape (tokens, layers, experts)."""
    after = resident(trace.chosen, make_policy("lru", trace.layers, trace.experts), quotas, trace.experts)
    states = np.concatenate([np.zeros_like(after[:1]), after[:-1]]).astype(np.uint8)  # before the token
    chosen = trace.chosen.astype(np.intp)
    there = np.take_along_axis(states, chosen, 2)
    np.put_along_axis(states, chosen, 3 - there, 2)
    return states


def _draw_states(axes: Any, states: np.ndarray, layer: int, last: bool) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(list(_COLOURS))
    axes.imshow(states, aspect="auto", interpolation="nearest", origin="lower", cmap=colours, vmin=-0.5, vmax=3.5)
    axes.set_ylabel(f"layer {layer}\nexpert")
    if last:
        axes.set_xlabel("token")
    else:
        axes.set_xticklabels([])


def _draw_legend(axes: Any) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, label=words) for colour, words in zip(_COLOURS, _WORDS, strict=True)]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), frameon=False, fontsize=8)


def _draw_hits(axes: Any, trace: Trace, share: float) -> None:
    (budget,) = compare(trace, (share,))
    for name, found in budget.replays.items():
        style = {"color": "black", "linestyle": "--"} if name == BEST else {"marker": "o", "markersize": 3}
        axes.plot(np.arange(trace.layers), 100 * found.hits / found.uses, label=name, **style)
    axes.set_xlabel("layer")
    axes.set_ylabel("% found in memory")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=len(budget.replays), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
