"""What pyproject.toml cannot say yet: shared libraries without Python's headers. Without them Python does the same."""

from setuptools import Extension, setup

LIBRARIES = {
    "accel.offload._store": "offload/store.c",
    "accel.runtime._sampling": "runtime/sampling.c",
    "accel.runtime.engines._llama_decode": "runtime/engines/llama_decode.c",
    "accel.runtime.engines._llama_taps": "runtime/engines/llama_taps.c",
}

setup(
    ext_modules=[
        Extension(name, [source], extra_compile_args=["-O3", "-ffp-contract=off"], optional=True)
        for name, source in LIBRARIES.items()
    ]
)
