"""The command line: what was typed becomes a call, what went wrong becomes one line and an exit code."""

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ..errors import AccelError, DiskFull, MemoryFull, SettingError, UsageError, status

MODEL_HELP = "a GGUF file, hf:owner/repo[:file], or nothing for the demo model"
PLANNED = (  # settings that decide a plan
    *("context", "memory", "kv_type", "approximate", "deterministic", "threads"),
    *("drafting", "draft_model"),
)
SERVED = (  # settings of the daemon
    *("host", "port", "parallel", "idle_unload", "power", "prompt_memory", "prompt_cache"),
    *("most_waiting", "most_of_a_client"),
)
WORDS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens", "stop", "system")
METAVARS = {"memory": "SIZE", "kv_type": "FORMAT", "draft_model": "MODEL", "stop": "TEXT", "system": "TEXT"}
EXPERTS, SPECULATE, SUGGEST = "bench experts", "bench speculate", "draft suggest"  # commands of two words
INTERRUPTED, READER_GONE = 130, 141  # as shells count SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if (both := " ".join(words[:2])) in (EXPERTS, SPECULATE, SUGGEST):
        words[:2] = [both]
    return run(build_parser, words)


def run(build: Callable[[], "Parser"], argv: Sequence[str] | None = None) -> int:
    """Runs one command of a parser and gives its exit code; `errors.STATUS` holds those of errors."""
    _open_closed_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a byte or letter that one encoding lacks ends nothing
    try:
        with _told_to_end():
            code = _run(build(), sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except AccelError as error:
        return _say(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit's own flush succeeds
        return READER_GONE
    except OSError as error:
        return _say(_of_system(error))
    except MemoryError:
        pass  # only once this is left, what the command held is let go of; to say something takes memory too
    return _say(MemoryFull("memory ran out", "close other programs, or take a smaller model or --context"))


def _open_closed_streams() -> None:
    """Nobody listens to a stream that was closed, which is no error. In order, each gets its own number, which else
    went to the next file that is opened: what a library or a child says would be written into it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - as long as the process lives
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


@contextmanager
def _told_to_end() -> Iterator[None]:
    """A terminal that closes, or a polite kill, ends a command as an error does: what it has begun is tidied up."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    known = [number for name in names if (number := getattr(signal, name, None))]
    # What is ignored stays so: under nohup a command outlives its terminal.
    before = {each: signal.signal(each, leave) for each in known if signal.getsignal(each) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(parser: "Parser", argv: Sequence[str]) -> int:
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        raise _unknown(unknown, getattr(given, "parser", parser))
    if given.run is None:
        parser.print_help()
        return 0
    return given.run(given)


def _say(error: AccelError) -> int:
    from .chat.blocks import printable  # names of files and words of servers may hold what a terminal would obey

    print(f"accel: {printable(' '.join(str(error).split()))}", file=sys.stderr)
    return status(error).exit


def _of_system(error: OSError) -> AccelError:
    import errno

    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(f"the disk is full{where}", "free some space")
    return AccelError(f"{error.strerror or error}{where}", "check that the file or folder is there and yours")


def _unknown(words: list[str], parser: argparse.ArgumentParser) -> UsageError:
    from .settings import nearest

    flags = [word.split("=")[0] for word in words if word.startswith("--")]
    if not flags:
        what = "an unknown setting" if words[0].startswith("-") else "one argument too many"
        return UsageError(f"'{words[0]}' is {what}", f"see {parser.prog} --help")
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    return SettingError(f"unknown setting {flags[0]}", f"the nearest is {nearest(flags[0], known)}")


class Parser(argparse.ArgumentParser):
    """One that reports what was mistyped as every other error is reported."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


class ShowVersion(argparse.Action):
    def __call__(self, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"accel {version('accel-runtime')}")
        raise SystemExit(0)


def build_parser() -> Parser:
    """Every command with its flags; imports nothing of what the commands do."""
    parser = Parser(prog="accel", description="Runs the language model you have on the machine you have.")
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    chat = command(commands, "chat", _chat, "talk with a model")
    chat.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    chat.add_argument("-p", "--prompt", help="answer this once on stdout and leave")
    chat.add_argument("--resume", nargs="?", const="", metavar="NAME", help="go on with a saved chat, or with the last")
    chat.add_argument("--window", action="store_true", help="talk on a page, in a window of its own")
    _add_settings(chat, (*PLANNED, *WORDS, "sessions", "offline"))

    serve = command(commands, "serve", _serve, "answer over HTTP, as OpenAI's API does, and on a page of its own")
    serve.add_argument("models", nargs="*", metavar="MODEL", help=f"{MODEL_HELP}; NAME=MODEL gives it another name")
    serve.add_argument("--new-key", action="store_true", help="make a key for clients, print it once, and leave")
    _add_settings(serve, (*PLANNED, *WORDS, *SERVED, "offline"))

    service = command(
        commands, "service", _service, "have the system run `accel serve`, and start it with your session"
    )
    service.add_argument("action", choices=("install", "status", "uninstall"), metavar="ACTION",
                         help="install, status or uninstall")  # fmt: skip
    service.add_argument("models", nargs="*", metavar="MODEL", help="as of accel serve")
    _add_settings(service, (*PLANNED, *WORDS, *SERVED, "offline"))

    ps = command(commands, "ps", _ps, "which daemons run, and what their models are at")
    ps.add_argument("--json", action="store_true", help="print it as JSON")

    cache = command(commands, "cache", _cache, "what is cached of prompts, by open models and on disk")
    cache.add_argument("--clear", action="store_true", help="let go of all that no answer uses")
    cache.add_argument("--json", action="store_true", help="print it as JSON")

    stop = command(commands, "stop", _stop, "end a daemon, once it has answered what it was asked")
    stop.add_argument("pid", nargs="?", type=_count, metavar="PID", help="its number, where several run")

    logs = command(commands, "logs", _logs, "what a daemon wrote about itself")
    logs.add_argument("pid", nargs="?", type=_count, metavar="PID", help="its number; the one that wrote last if none")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    logs.add_argument("-n", "--lines", type=_count, default=50, metavar="N", help="so many lines (default: 50)")

    plan = command(commands, "plan", _plan, "what a model would need and how fast it would be, without loading it")
    plan.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    plan.add_argument("--machine", metavar="NAME", help="plan for a machine you do not have, by the name of its card")
    plan.add_argument("--explain", action="store_true", help="give the reason of every choice")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    _add_settings(plan, (*PLANNED, "offline"))

    doctor = command(commands, "doctor", _doctor, "what this machine has, and which engines run on it")
    doctor.add_argument("--measure", action="store_true", help="measure again")
    doctor.add_argument("--json", action="store_true", help="print it as JSON")

    models = command(commands, "models", _models, "list, verify and remove what was downloaded")
    models.add_argument("action", nargs="?", choices=("list", "verify", "remove"), default="list", metavar="ACTION",
                        help="list (if nothing is given), verify or remove")  # fmt: skip
    models.add_argument("name", nargs="?", metavar="NAME", help="owner/repo[:file], as `accel models` prints it")
    models.add_argument("--json", action="store_true", help="print it as JSON")

    bench = command(commands, "bench", _bench, "how fast a model is here, and what memory it takes against its plan")
    bench.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    bench.add_argument("--json", action="store_true", help="print it as JSON")
    _add_settings(bench, (*PLANNED, "offline"))

    experts = command(commands, EXPERTS, _bench_experts, "how well a cache of experts would do, by policy and budget")
    experts.add_argument("model", nargs="?", metavar="MODEL", help=f"{MODEL_HELP}; its routing is recorded")
    experts.add_argument(
        "--trace", metavar="FILE", help="replay this recorded routing, or record it there if it is new"
    )
    experts.add_argument("--picture", metavar="FILE", help="draw residency and hits, as a PNG")
    experts.add_argument("--json", action="store_true", help="print it as JSON")
    _add_settings(experts, (*PLANNED, "offline"))

    speculate = command(commands, SPECULATE, _bench_speculate, "what guessing ahead gives here, and what it takes")
    speculate.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    speculate.add_argument("--memory", dest="watch", action="store_true", help="measure memory, too, against the plan")
    speculate.add_argument("--json", action="store_true", help="print it as JSON")
    _add_settings(speculate, ("context", "kv_type", "threads", "draft_model", "offline"))

    suggest = command(
        commands, SUGGEST, _suggest, "which models could draft for another here, and what that would bring"
    )
    suggest.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    suggest.add_argument("drafts", nargs="*", metavar="DRAFT", help="models to look at beside those that are here")
    suggest.add_argument("--measure", action="store_true", help="open them, and measure what they guess right and take")
    suggest.add_argument("--json", action="store_true", help="print it as JSON")
    _add_settings(suggest, (*PLANNED, "offline"))
    return parser


def command(commands: Any, name: str, run: Callable[[Any], int], help: str) -> Parser:
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_settings(parser: Parser, names: Sequence[str]) -> None:
    from .settings import SWITCH, TABLE, TEXTS

    group = parser.add_argument_group("settings", "also read from the environment (ACCEL_…) and from accel.toml")
    for name in names:
        row = TABLE[name]
        help = f"{row.help} (default: {row.default_words})".replace("%", "%%")
        if row.kind is SWITCH:
            group.add_argument(row.flag, action=argparse.BooleanOptionalAction, help=help)
        else:
            action = "append" if row.kind is TEXTS else "store"
            group.add_argument(row.flag, metavar=METAVARS.get(name, "N"), action=action, help=help)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is no number")
    return int(text)


def _settings(given: argparse.Namespace) -> Any:
    from .settings import TABLE, resolve

    return resolve({name: getattr(given, name) for name in TABLE if hasattr(given, name)})


def _chat(given: argparse.Namespace) -> int:
    if given.window:
        return _chat_in_window(given)
    from .chat.app import run

    return run(_settings(given), prompt=given.prompt, resume=given.resume)


def _chat_in_window(given: argparse.Namespace) -> int:
    if given.prompt is not None or given.resume is not None:
        raise UsageError("a window has no use for --prompt and --resume", "leave them out")
    from .serve.window import run

    return run(_settings(given))


def _serve(given: argparse.Namespace) -> int:
    from .serve.run import run

    return run(_settings(given), given.models, given.new_key)


def _service(given: argparse.Namespace) -> int:
    from .serve.service import run
    from .settings import TABLE

    typed = {name: getattr(given, name) for name in TABLE if getattr(given, name, None) is not None}
    return run(given.action, _settings(given), given.models, typed)


def _ps(given: argparse.Namespace) -> int:
    from .serve.manage import ps

    _settings(given)  # as for the doctor
    return ps(given.json)


def _cache(given: argparse.Namespace) -> int:
    from .serve.manage import cache

    _settings(given)  # as for the doctor
    return cache(given.clear, given.json)


def _stop(given: argparse.Namespace) -> int:
    from .serve.manage import stop

    _settings(given)  # as for the doctor
    return stop(given.pid)


def _logs(given: argparse.Namespace) -> int:
    from .serve.manage import logs

    _settings(given)  # as for the doctor
    return logs(given.pid, given.follow, given.lines)


def _plan(given: argparse.Namespace) -> int:
    from .show_plan import run

    return run(_settings(given), given.machine, given.explain, given.json)


def _doctor(given: argparse.Namespace) -> int:
    from .doctor import run

    _settings(given)  # none matters here, and a mistyped one is told by every command
    return run(json=given.json, measure=given.measure)


def _models(given: argparse.Namespace) -> int:
    from .library.show import run

    _settings(given)  # as for the doctor
    return run(given.action, given.name, given.json)


def _bench(given: argparse.Namespace) -> int:
    from .bench import run

    return run(_settings(given), given.json)


def _bench_experts(given: argparse.Namespace) -> int:
    from .bench_experts import run

    trace, picture = (None if name is None else Path(name) for name in (given.trace, given.picture))
    return run(_settings(given), trace, picture, given.json)


def _suggest(given: argparse.Namespace) -> int:
    from .draft_suggest import run

    return run(_settings(given), given.drafts, given.measure, given.json)


def _bench_speculate(given: argparse.Namespace) -> int:
    from .bench_speculate import run

    return run(_settings(given), given.watch, given.json)


if __name__ == "__main__":
    sys.exit(main())
