"""What pyproject.toml cannot say yet: shared libraries without Python's headers. Without them Python does the same."""

from setuptools import Extension, setup

LIBRARIES = {
    "accel.exporters._low": ["exporters/low.c"],
    "accel.offload._store": ["offload/store.c", "offload/planes.c"],
    "accel.runtime._sampling": ["runtime/sampling.c"],
    "accel.runtime.engines._llama_decode": ["runtime/engines/llama_decode.c"],
    "accel.runtime.engines._llama_taps": ["runtime/engines/llama_taps.c"],
}
SHARED = ["offload/planes.h"]

setup(
    ext_modules=[
        Extension(name, sources, depends=SHARED, extra_compile_args=["-O3", "-ffp-contract=off"], optional=True)
        for name, sources in LIBRARIES.items()
    ]
)
