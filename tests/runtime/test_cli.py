"""The command line as a user meets it: one line per error, its own exit code, nothing half-written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from accel.devices.measure import measured
from accel.devices.probe import probe
from accel.errors import (
    STATUS,
    DiskFull,
    MemoryFull,
    ModelDamaged,
    ModelEmpty,
    ModelIsDirectory,
    ModelMissing,
    ModelTruncated,
    ModelUnreadable,
    ModelUnsupported,
    NetworkError,
    PlanRefused,
    SettingError,
    UsageError,
)  # fmt: skip
from accel.runtime import cli
from accel.runtime.settings import TABLE

ASSETS = Path(__file__).resolve().parents[2].parent / "shared" / "assets"


@pytest.fixture(scope="session")
def measurements(tmp_path_factory) -> Path:
    """A cache in which this machine has been measured, which takes seconds."""
    folder = tmp_path_factory.mktemp("measured")
    measured(probe(), folder, again=True)  # which keeps it on a busy machine too
    return folder


@pytest.fixture
def accel(home, measurements, tmp_path):
    """Runs the real command in a child process with folders of its own."""
    shutil.copytree(measurements, home / "cache")

    def run(
        *words: str, stdin: str = "", before: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
        return subprocess.run(
            [*before, sys.executable, "-m", "accel.runtime.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            cwd=tmp_path,
            env={**clean, "ACCEL_HOME": str(home), "HF_HUB_CACHE": str(tmp_path / "shared"), **environment},
        )

    return run


def refused(done: subprocess.CompletedProcess[str], kind: type, *says: str) -> None:
    assert done.returncode == STATUS[kind].exit, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()  # before it may stand what was being done
    assert line.startswith("accel: ") and "; " in line
    for words in says:
        assert words in line


def test_help_lists_every_command(accel):
    done = accel("--help")
    assert done.returncode == 0 and not done.stderr
    assert all(name in done.stdout for name in ("chat", "plan", "doctor", "models", "bench"))
    assert accel().stdout == done.stdout


def test_help_and_version_load_nothing_heavy():
    code = "import sys; from accel.runtime import cli; sys.argv=['accel']; cli.main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "rich", "zmq", "jinja2", "huggingface_hub", "llama_cpp", "torch", "asyncio"} & set(loaded)


def test_the_version_is_told(accel):
    name, version = accel("--version").stdout.split()
    assert name == "accel" and version[0].isdigit()


def test_help_of_chat_and_serve_holds_every_setting(accel):
    told = accel("chat", "--help").stdout + accel("serve", "--help").stdout
    assert all(row.flag in told for row in TABLE.values() if row.name != "model")
    assert all(" ".join(row.help.split()) in " ".join(told.split()) for row in TABLE.values() if row.name != "model")


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (["chat", "--temprature", "1"], SettingError, "--temperature"),
        (["chat", "--temprature=1"], SettingError, "--temperature"),
        (["chat", "--temperature", "hot"], SettingError, "number"),
        (["chat", "--temp", "1"], SettingError, "--temperature"),
        (["plan", "--tempo", "1"], SettingError, "the nearest is"),
        (["chat", "a", "b"], UsageError, "'b'"),
        (["chta"], UsageError, "chat"),
        (["chat", "--seed"], UsageError, "--seed"),
        (["chat", "-t", "5"], UsageError, "'-t' is an unknown setting"),
        (["models", "burn"], UsageError, "remove"),
        (["models", "remove"], UsageError, "needs a name"),
        (["models", "remove", "a/b"], ModelMissing, "accel models"),
        (["models", "verify", "nonsense"], UsageError, "owner/repo"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_its_own_code(accel, words, kind, says):
    refused(accel(*words), kind, says)


@pytest.mark.parametrize("command", ["chat", "plan", "bench", "doctor", "models"])
def test_an_unknown_key_in_the_file_names_the_nearest_whatever_the_command(accel, home, command):
    (home / "config").mkdir(parents=True)
    (home / "config" / "accel.toml").write_text("thread = 2\n")
    refused(accel(command), SettingError, "unknown key thread in ", "accel.toml", "nearest is threads")


@pytest.mark.parametrize("command", ["chat", "plan", "bench", "doctor", "models"])
def test_an_unknown_variable_names_the_nearest_whatever_the_command(accel, command):
    refused(accel(command, ACCEL_TEMPRATURE="1"), SettingError, "ACCEL_TEMPERATURE")


@pytest.mark.parametrize("name", ["", "nope"])
def test_a_machine_without_a_card_is_said(accel, name):
    refused(accel("plan", "--machine", name), UsageError, f"no machine card '{name}'; ", "laptop-16gb")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(accel, closed):
    before = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    done = accel("models", "--json", before=before)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed.split() else "[]\n")
    wrong = accel("plan", "nothing.gguf", before=before)
    assert wrong.returncode == STATUS[ModelMissing].exit and "Traceback" not in wrong.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
def test_a_closed_stream_leaves_its_number_to_no_file(accel, tmp_path):
    code = "from accel.runtime import cli; import os; cli._open_closed_streams(); "
    code += "print(open('/dev/null').fileno() > 2, os.get_inheritable(1), file=open('told', 'w'))"
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "told").read_text() == "True True\n"


def test_no_models_yet_is_no_error(accel):
    done = accel("models")
    assert done.returncode == 0 and done.stdout == "" and "accel chat hf:" in done.stderr
    assert accel("models", "--json").stdout.strip() == "[]"


def test_a_home_that_cannot_be_made_is_said(accel, tmp_path):
    (tmp_path / "file").write_text("")
    done = accel("models", ACCEL_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1 and "ACCEL_HOME" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(home):
    code = "import sys; from accel.runtime import cli; sys.exit(cli.main(['models', '--json']))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout and child.stderr
    child.stdout.close()
    error = child.stderr.read()
    child.stderr.close()
    assert child.wait() == cli.READER_GONE and not error


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device", "/x"), STATUS[DiskFull].exit, "/x"),
        (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied (/x)"),
        (MemoryError(), STATUS[MemoryFull].exit, "accel: memory ran out; "),
        (NetworkError("no\nnet\x1b[31m", "plug\tit in"), STATUS[NetworkError].exit, "accel: no net[31m; plug it in\n"),
    ],
)
def test_what_a_command_raises_becomes_a_code_and_a_line(monkeypatch, capfd, error, code, says):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_models", fail)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    assert cli.main(["models"]) == code
    told = capfd.readouterr().err
    assert says in told and len(told.splitlines()) == bool(says)


def test_models_are_listed_verified_and_removed(accel, home, tmp_path):
    folder = home / "cache" / "models" / "owner" / "tiny"
    folder.mkdir(parents=True)
    (folder / "a.gguf").write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    record = '{"repo": "owner/tiny", "commit": "c", "parts": [{"name": "a.gguf", "size": 3, "sha256": "%s"}]}'
    (folder / "a.gguf.json").write_text(record % sha256)
    assert "owner/tiny:a.gguf" in accel("models").stdout
    assert accel("models", "verify").stdout == "owner/tiny:a.gguf: sound\n"
    (folder / "a.gguf").write_bytes(b"abd")
    done = accel("models", "verify", "owner/tiny")
    assert "checksum" in done.stdout and done.returncode == 16 and "fetch them again" in done.stderr
    assert '"whole": true' in accel("models", "--json").stdout
    other = home / "cache" / "models" / "owner" / "other"
    shutil.copytree(folder, other)
    (other / "a.gguf.json").write_text((record % sha256).replace("owner/tiny", "owner/other"))
    removed = json.loads(accel("models", "remove", "owner/other", "--json").stdout)
    assert removed == [{"name": "owner/other:a.gguf", "freed": 3}]
    assert "3 B freed" in accel("models", "remove", "hf:owner/tiny:a.gguf").stdout
    assert not list((home / "cache" / "models").iterdir())


@pytest.fixture
def model(tmp_path) -> Path:
    """A real model that a test may spoil."""
    source = ASSETS / "models" / "stories260K.gguf"
    if not source.is_file():
        pytest.skip("../shared/assets/models/stories260K.gguf is not there")
    return Path(shutil.copy(source, tmp_path / "model.gguf"))


def left_behind(home: Path) -> list[str]:
    """Files that only an interrupted write leaves."""
    return [path.name for path in home.rglob("*") if path.suffix in (".part", ".incomplete", ".tmp")]


@pytest.mark.parametrize("command", ["chat", "plan", "bench"])
def test_a_missing_file_is_said(accel, command):
    refused(accel(command, "nothing.gguf"), ModelMissing, "nothing.gguf", "check the path")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/a.gguf", "a" * 5000])
def test_a_path_that_cannot_be_is_said(accel, name):
    done = accel("chat", name)
    assert done.returncode in (STATUS[ModelMissing].exit, STATUS[ModelUnreadable].exit)
    assert done.stderr.startswith("accel: ") and len(done.stderr.splitlines()) == 1


def test_the_name_of_a_repository_without_hf_is_explained(accel):
    refused(accel("chat", "owner/model"), ModelMissing, "hf:owner/model")


def test_a_folder_is_said(accel, tmp_path):
    refused(accel("chat", str(tmp_path)), ModelIsDirectory, "folder")


def test_an_empty_file_is_said(accel, model):
    model.write_bytes(b"")
    refused(accel("chat", str(model)), ModelEmpty, "empty")


def test_a_pipe_in_the_place_of_a_model_is_said_at_once(accel, tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    refused(accel("chat", str(tmp_path / "pipe.gguf")), ModelUnreadable, "regular file")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_model_is_said(accel, model, share):
    whole = model.read_bytes()
    model.write_bytes(whole[: int(len(whole) * share)])
    refused(accel("chat", str(model)), ModelTruncated, "not whole", "fetch it again")


def test_something_else_than_a_model_is_said(accel, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"<html>" * 1000)
    refused(accel("chat", str(tmp_path / "x.gguf")), ModelDamaged, "not a GGUF")


def test_an_architecture_that_the_engine_lacks_is_said(accel, model, home):
    data = model.read_bytes().replace(b"llama.", b"lamma.")
    at = data.index(b"llama", data.index(b"general.architecture"))
    model.write_bytes(data[:at] + b"lamma" + data[at + 5 :])
    refused(accel("chat", str(model)), ModelUnsupported, "lamma")
    assert not left_behind(home)


@pytest.fixture
def obeying() -> list[str]:
    """Runs a command as somebody for whom permissions count, as they do not for root."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root reads everything, and there is no setpriv to give that up")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_a_file_without_read_permission_is_said(accel, model, obeying):
    model.chmod(0)
    refused(accel("chat", str(model), before=obeying), ModelUnreadable, "Permission denied", "permission")


def test_a_model_in_a_folder_that_may_not_be_entered_is_not_called_missing(accel, tmp_path, obeying):
    (tmp_path / "closed").mkdir(mode=0)
    done = accel("chat", "closed/model", before=obeying)
    (tmp_path / "closed").chmod(0o700)
    refused(done, ModelUnreadable, "Permission denied", "permission")


def test_links_in_a_circle_are_not_called_a_missing_model(accel, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "model").symlink_to("model")
    refused(accel("chat", "links/model"), ModelUnreadable, "links/model")


def test_a_memory_ceiling_of_ten_megabytes_is_refused_with_what_would_fit(accel, model, home):
    done = accel("chat", str(model), "--memory", "10MB")
    refused(done, PlanRefused, "does not fit", "--memory")
    enough = done.stderr.split("--memory ")[1].split()[0]
    assert accel("plan", str(model), "--memory", enough).returncode == 0
    assert not left_behind(home)


def test_no_network_is_said(accel, home):
    done = accel("chat", "hf:owner/model", HF_ENDPOINT="http://127.0.0.1:9")
    refused(done, NetworkError, "cannot reach http://127.0.0.1:9", "check the network")
    assert not left_behind(home)


def test_a_full_disk_under_the_cache_is_said_and_nothing_is_left(accel, hub, model, home):
    small = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=1m none {home / "cache"} && exec "$@"', "sh"]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a disk of 1 MiB cannot be mounted here")
    hub.files["owner/tiny"] = {"a.gguf": model.read_bytes()}
    look = [*small, "sh", "-c", f'"$@"; code=$?; find {home} -name "*.gguf*" >&2; exit $code', "sh"]
    done = accel("chat", "hf:owner/tiny", before=look, HF_ENDPOINT=hub.endpoint)
    refused(done, DiskFull, "needs 65.1 MiB", "free some space")


def test_a_limit_on_the_size_of_files_is_said(accel, hub, model, home):
    hub.files["owner/tiny"] = {"a.gguf": model.read_bytes()}
    limit = ["bash", "-c", 'ulimit -f 256; exec "$@"', "bash"]  # no file can grow beyond 256 KiB
    done = accel("chat", "hf:owner/tiny", before=limit, HF_ENDPOINT=hub.endpoint)
    refused(done, DiskFull, "free some space")
    assert not list((home / "cache").rglob("*.gguf*"))


def test_a_model_of_the_hub_answers_and_is_listed(accel, hub, model, home):
    hub.files["owner/tiny"] = {"a.gguf": model.read_bytes(), "README.md": b"x"}
    words = ("chat", "hf:owner/tiny", "-p", "Once", "--max-tokens", "4", "--temperature", "0")
    done = accel(*words, HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 0 and done.stdout.strip() and "downloading" in done.stderr
    again = accel(*words, "--offline", HF_ENDPOINT="http://127.0.0.1:9")
    assert again.stdout == done.stdout
    assert "owner/tiny:a.gguf" in accel("models").stdout
    assert accel("models", "verify").stdout.endswith(": sound\n")


def test_a_model_that_does_not_fit_is_refused_before_it_is_downloaded(accel, hub, model, home):
    hub.files["owner/tiny"] = {"a.gguf": model.read_bytes() + bytes(8 * 2**20)}
    done = accel("chat", "hf:owner/tiny:a.gguf", "--memory", "10MB", HF_ENDPOINT=hub.endpoint)
    refused(done, PlanRefused, "--memory")
    assert hub.sent <= 2 * 2**20
    assert not list((home / "cache").rglob("*.gguf*"))


def test_a_plan_for_a_model_of_the_hub_needs_its_header_alone(accel, hub, model, home):
    hub.files["owner/tiny"] = {"a.gguf": model.read_bytes() + bytes(8 * 2**20)}
    done = accel("plan", "hf:owner/tiny", "--json", HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 0 and "KV cache" in done.stdout and "decode" in done.stdout
    assert hub.sent <= 4 * 2**20
    assert not list((home / "cache").rglob("*.gguf*"))
