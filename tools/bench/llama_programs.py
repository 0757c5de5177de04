"""Builds llama.cpp's own server from the very source that llama-cpp-python was compiled from.

    python tools/bench/llama_programs.py FOLDER [--sdist UNPACKED]

FOLDER gets the source, if `--sdist` does not name it unpacked (pip fetches it otherwise), and the programs in
FOLDER/build/bin. It takes 10 to 30 minutes on two cores; asked again, it only builds what is missing.
"""

import argparse
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "llama_cpp_python"
_SWITCHES = ("LLAMA_BUILD_TESTS=OFF", "LLAMA_OPENSSL=OFF", "LLAMA_USE_PREBUILT_UI=OFF", "GGML_CCACHE=OFF")
# As in the Makefile, or the server crashes on processors that have AMX.
_WITHOUT_AMX = tuple(f"CMAKE_{language}_FLAGS=-U__AMX_INT8__" for language in ("C", "CXX"))
_POLITE = ("nice", "-n", "19")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sdist", type=Path)
    given = parser.parse_args()
    source = (given.sdist or _fetched(given.folder)) / "vendor" / "llama.cpp"
    build = given.folder / "build"
    switches = [f"-D{switch}" for switch in ("CMAKE_BUILD_TYPE=Release", *_WITHOUT_AMX, *_SWITCHES)]
    subprocess.run([*_POLITE, "cmake", "-S", source, "-B", build, *switches], check=True, stdout=sys.stderr)
    command = [*_POLITE, "cmake", "--build", build, "-j2", "--target", "llama-server"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    print(build / "bin" / "llama-server")


def _fetched(folder: Path) -> Path:
    """The unpacked source distribution of the version that is installed here."""
    wanted = f"{PACKAGE}-{version('llama-cpp-python')}"
    if not (folder / wanted).is_dir():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-d", folder]
        subprocess.run([*command, f"llama-cpp-python=={version('llama-cpp-python')}"], check=True, stdout=sys.stderr)
        with tarfile.open(folder / f"{wanted}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return folder / wanted


if __name__ == "__main__":
    main()
