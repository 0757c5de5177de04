"""What pyproject.toml cannot say yet: a shared library without Python's headers. Without it numpy does the same."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "accel.runtime._sampling",
            ["runtime/sampling.c"],
            extra_compile_args=["-O3", "-ffp-contract=off"],
            optional=True,
        )
    ]
)
