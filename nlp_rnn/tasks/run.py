"""Running a command line: which messages of libraries are shown, and what becomes of errors."""

import errno
import io
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Callable

from lightning.fabric.utilities.exceptions import MisconfigurationException

from nlp_rnn.callbacks.graceful_stop import Stopped
from nlp_rnn.cpu import tune_cpu
from nlp_rnn.errors import InputError
from nlp_rnn.tasks.base import DivergedError

__all__ = ["run"]


def run(cli: Callable[[], object]) -> None:
    """Run a command line; a user's mistake ends in one line and exit code 2.

    Args:
        cli: called without arguments.
    """
    _silence()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale says
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    tune_cpu()
    try:
        cli()
    except InputError as error:
        _stop(f"error: {error}", 2)
    except DivergedError as error:
        _stop(f"training diverged at {error}", 1)
    except MisconfigurationException as error:  # of the --trainer options, in Lightning's words
        _stop(f"error: {str(error).strip().splitlines()[0]}", 2)
    except (TypeError, ValueError, RuntimeError) as error:  # where Lightning itself raises it
        if not _raised_by_lightning(error):
            raise
        _stop(f"error: {str(error).strip().splitlines()[0]}", 2)
    except OSError as error:
        if not error.filename and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(f"error: {error.filename or 'output'}: {error.strerror}", 2)
    except Stopped as stopped:
        _stop(str(stopped), 130)
    except KeyboardInterrupt:  # before the first update or after the last
        raise SystemExit(130) from None


def _silence() -> None:
    """Keep back what libraries say that no user needs."""
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # of detokenised text it asks to be that
    for message in (
        ".*does not have many workers.*",
        ".*logs directory .* exists.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
        ".*custom batch sampler .* for prediction.*",
        ".*LeafSpec.*",
        ".*recommended to use .*sync_dist=True.*",  # scores are of all processes' texts already
    ):
        warnings.filterwarnings("ignore", message)
    # One logger of Lightning says what a user needs and what nobody does.
    noise = re.compile(r".*(Tip:|TPU available|GPU available|estimate number of stepping)")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).addFilter(lambda record: not noise.match(record.getMessage()))


def _raised_by_lightning(error: Exception) -> bool:
    """Whether Lightning's own code refuses what a command line asked of it.

    `Task.configure_optimizers` asks it for the length of the training, which some options leave
    undefined.
    """
    calls = [
        (str(each.f_globals["__name__"]), each.f_code.co_name)
        for each, _ in traceback.walk_tb(error.__traceback__)
    ]
    ours = [call for call in calls if call[0].startswith("nlp_rnn")]
    asked = bool(ours) and (ours[-1][0].endswith(".cli") or ours[-1][1] == "configure_optimizers")
    return asked and calls[-1][0].startswith("lightning") and bool(str(error).strip())


def _stop(message: str, code: int) -> None:
    sys.stderr.write(f"{message}\n")
    raise SystemExit(code)
