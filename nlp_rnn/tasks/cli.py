"""One command line for every task: LightningCLI with a network beside model, data and trainer."""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import nn

from nlp_rnn.callbacks import (
    Averaging,
    BestCheckpoint,
    GracefulStop,
    LastCheckpoint,
    PatientStopping,
    ResumedSettings,
)
from nlp_rnn.callbacks.best_checkpoint import best_checkpoint
from nlp_rnn.callbacks.resumed_settings import settings_of
from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.cli.common import new_path
from nlp_rnn.errors import InputError
from nlp_rnn.paths import home
from nlp_rnn.tasks.base import Task, warn_of_slow_bf16
from nlp_rnn.tasks.data import TaskData
from nlp_rnn.tasks.run_folder import RunFolder
from nlp_rnn.tasks.saving import DurableCheckpointIO
from nlp_rnn.tasks.trainer_checks import check_trainer

__all__ = ["TaskCLI", "has_option", "without_printing"]

_TRAINER_DEFAULTS = {
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,  # our samplers know of ranks
    "enable_model_summary": False,
}


class TaskCLI(LightningCLI):
    """Builds the network from ``--network.*`` and hands it to the task as ``model.network``.

    With ``--ckpt_path`` the network's arguments come from the checkpoint, and so does the data it
    was trained on wherever neither a config nor a flag names another. `fit` goes on with all
    settings of the run that wrote it, and in its folder.

    Args:
        task: the Lightning module's class.
        data: the data module's class; its ``described`` names what checkpoints remember.
        network: the network's class.
        links: ``network`` arguments that the data needs, by name.
        example: the config that `fit` uses when neither a config nor a data set is named, or the
            built-in one is.
        trainer_defaults: of this task, beside those of all.
        monitor: the validation metric that chooses the best checkpoint.
        mode: whether the ``max`` or the ``min`` of it is best.
        callbacks: of this task, in training.
        args: the command line; `sys.argv` if None.
    """

    def __init__(
        self,
        *,
        task: type[Task],
        data: type[TaskData],
        network: type[nn.Module],
        links: Sequence[str],
        example: Path,
        trainer_defaults: dict[str, Any],
        monitor: str,
        mode: Literal["max", "min"],
        callbacks: Sequence[Callback] = (),
        args: Sequence[str] | None = None,
    ) -> None:
        self.task_class = task
        self.data_class = data
        self.network_class = network
        self.links = links
        self.monitor = monitor
        self.mode = mode
        self.callbacks = callbacks
        self._folder = RunFolder(task.name)
        given = list(sys.argv[1:] if args is None else args)
        self.called = given[0] if given else ""
        if given[:1] == ["fit"] and not has_option(given, "-c", "--config"):
            resumed = Path(home(_value(given, "--ckpt_path") or ""))
            if resumed.is_file():
                given[1:1] = ["--config", str(_config_of(resumed, task.name))]
            elif not has_option(given, "--data") and _value(given, "--data.dataset") in (
                None,
                inspect.signature(data).parameters["dataset"].default,
            ):
                given[1:1] = ["--config", str(example)]
        super().__init__(
            task,
            data,
            trainer_defaults={**_TRAINER_DEFAULTS, **trainer_defaults},
            seed_everything_default=1,
            save_config_kwargs={"overwrite": True},
            auto_configure_optimizers=False,
            parser_kwargs={
                "prog": f"python -m nlp_rnn.tasks.{task.name}",
                "allow_abbrev": False,  # an option cut short may be another one's name
                # Of each, as argparse would answer every typing error with hundreds of options.
                **{name: {"usage": "%(prog)s [options]"} for name in self.subcommands()},
            },
            load_from_checkpoint_support=False,
            args=given,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one that is called: to collect the options of all takes three times as long."""
        every = LightningCLI.subcommands()
        return {self.called: every[self.called]} if self.called in every else every

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        super().setup_parser(*args, **kwargs)
        for subcommand, parser in self._subcommand_parsers.items():
            self.add_options(subcommand, parser)

    def add_options(self, subcommand: str, parser: LightningArgumentParser) -> None:
        """Add the options that one subcommand of a task has; none here."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(self.network_class, "network")
        parser.link_arguments("network", "model.network", apply_on="instantiate")
        for name in self.links:
            parser.link_arguments(f"network.{name}", f"data.{name}")
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(PatientStopping, "early_stopping")
        parser.add_lightning_class_args(Averaging, "averaging")
        parser.set_defaults(
            {
                "checkpoint.monitor": self.monitor,
                "checkpoint.mode": self.mode,
                "checkpoint.filename": "best",
                "checkpoint.enable_version_counter": False,
                "early_stopping.monitor": self.monitor,
                "early_stopping.mode": self.mode,
                "early_stopping.patience": 10,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; with a checkpoint, parse again with what it remembers as defaults.

        A configuration is printed once these are known, so that the checkpoint has to be there.
        """
        settled = without_printing(args)
        self.config = self._parsed(parser, settled)
        self.remembered: dict[str, Any] = {}
        subcommand = self.config.subcommand
        path = self.config[subcommand].get("ckpt_path")
        if path:
            self._adopt(path, parser, settled)
        if len(settled) < len(args):
            parser.parse_args(args)  # prints and ends
        if not path and subcommand != "fit":
            raise InputError(f"{subcommand} needs a trained model: give --ckpt_path best.ckpt")

    def _adopt(self, path: str, parser: LightningArgumentParser, args: Sequence[str]) -> None:
        """What a checkpoint remembers holds wherever nothing else is given."""
        subcommand = self.config.subcommand
        checkpoint = open_checkpoint(path, task=self.task_class.name)
        arguments = checkpoint["hyper_parameters"]
        remembered = self.remembered = checkpoint[self.data_class.__qualname__]
        data = {
            f"data.{name}": remembered[name]
            for name in (*self.data_class.described, *self.data_class.trained_with)
            if remembered.get(name) is not None
        }
        of_splits = {name for name in data if name.startswith(("data.validation", "data.test"))}
        datasets = {name for name in of_splits if name.count(".") == 1 or name.endswith(".dataset")}
        defaults = self._subcommand_parsers[subcommand].set_defaults

        def adopt(names: set[str]) -> Any:
            defaults({name: data[name] for name in names})
            self.config = self._parsed(parser, args)
            return self.config[subcommand]

        defaults({f"network.{name}": value for name, value in arguments.items()})
        given = adopt({*data} - of_splits)
        # What is remembered of validation and test holds only if the main data set is the same;
        # columns and label map of a split only if it still has the data set that it had.
        if given.data.dataset == remembered["dataset"]:
            given = adopt(datasets)
            same = {name for name in datasets if given[name] == data[name]}
            details = of_splits - datasets
            adopt({name for name in details if f"{name.rpartition('.')[0]}.dataset" in same})
        for name, parameter in inspect.signature(self.network_class).parameters.items():
            value = arguments.get(name, parameter.default)  # of a version that had no such option
            given = self.config[subcommand].network[name]
            # Dropout is a setting of training, which may go on with more of it, or less.
            if given != value and not name.endswith("dropout"):
                raise InputError(
                    f"--network.{name} is {given}, but {path} was trained with {value}: leave it "
                    "out"
                )
        if subcommand == "fit" and self.config.fit.checkpoint.dirpath is None:
            # Its own folder, where the best score so far is known.
            self.config.fit.checkpoint.dirpath = str(Path(path).parent)

    def _parsed(self, parser: LightningArgumentParser, args: Any) -> Any:
        """Parsed, with a home folder for each tilde, which shells leave alone behind ``=``."""
        config = parser.parse_args(args)
        given = config[config.subcommand]
        for name in ("trainer.default_root_dir", "checkpoint.dirpath", "ckpt_path"):
            if given.get(name):
                given[name] = home(given[name])
        return config

    def validate(self, **kwargs: Any) -> None:
        self.trainer.validate(**{**kwargs, "verbose": False})
        self.report("validation")

    def test(self, **kwargs: Any) -> None:
        self.trainer.test(**{**kwargs, "verbose": False})
        self.report("test")

    def report(self, split: str) -> None:
        """Print what validate or test found; a task's own."""
        raise NotImplementedError

    def before_fit(self) -> None:
        """Going on from a checkpoint takes the vocabulary from it, instead of training one."""
        self._check_folder()
        if self.remembered:
            self.datamodule.load_state_dict(self.remembered)

    @rank_zero_only
    def after_fit(self) -> None:
        """Show the best checkpoint, if one was saved, and where it is."""
        callback = best_checkpoint(self.trainer)
        if callback and callback.best_model_path:
            self.show(callback.best_model_path)
            line = f"best checkpoint: {callback.best_model_path}"
            Console().print(line, soft_wrap=True, highlight=False, markup=False)

    def show(self, best: str) -> None:
        """Show a checkpoint as a user of it would see it; a task's own."""
        raise NotImplementedError

    def scored(self, split: str) -> str:
        """The data set that a split comes from, and the split."""
        return f"{self.datamodule.others.get(split) or self.datamodule.dataset}, {split}"

    def predicted(self, **kwargs: Any) -> list[Any]:
        """What predict gives for each row, one after the other."""
        batches: Any = self.trainer.predict(**{**kwargs, "return_predictions": True})
        return [row for batch in batches for row in batch]

    def new_output(self) -> Path:
        """The file that predict is to write.

        Raises:
            InputError: there is one, or none can be written there.
        """
        return new_path(Path(self.config.predict.output), "--output")

    def _parse_ckpt_path(self) -> None:
        """Done in `parse_arguments`, for the network instead of the model."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """With TensorBoard and CSV logs in one new folder, unless the config names a logger."""
        trainer = self._get(self.config_init, "trainer")
        check_trainer(trainer, str(self.subcommand))
        root = trainer.get("default_root_dir") or "runs"
        if trainer.get("logger") in (None, True) and self.subcommand == "fit":
            board = self._folder.make(root)
            kwargs["logger"] = [board, CSVLogger(root, board.name, version=board.version)]
        elif self.subcommand == "fit" and not trainer.get("logger"):
            # A folder of its own all the same: nothing of another run is overwritten.
            kwargs["default_root_dir"] = self._folder.make(root).log_dir
        elif self.subcommand != "fit":
            kwargs.setdefault("logger", trainer.get("logger") or False)
        try:
            built = super().instantiate_trainer(**kwargs)
        except BaseException:
            self._folder.leave()
            raise
        if built.precision.startswith("bf16"):
            setting = f"--trainer.precision {built.precision}"
            warn_of_slow_bf16(built, setting, "--trainer.precision 32-true")
        return built

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        finally:
            self._folder.leave()

    def _check_folder(self) -> None:
        """A run keeps its best and last checkpoint under names that another may have used.

        Raises:
            InputError: the folder named for them holds some that are not this run's.
        """
        folder = self.config.fit.checkpoint.dirpath
        if folder is not None and not self._stays() and any(Path(folder).glob("*.ckpt")):
            raise InputError(
                f"--checkpoint.dirpath {folder} holds checkpoints, which would be overwritten: "
                "name a new folder, or resume one of them with --ckpt_path"
            )

    def _stays(self) -> bool:
        """Whether a resumed run saves where the checkpoint lies that it goes on from."""
        resumed, folder = self.config.fit.ckpt_path, self.config.fit.checkpoint.dirpath
        if not resumed or folder is None:
            return False
        return Path(resumed).parent.resolve() == Path(folder).resolve()

    def _settings(self) -> str:
        """Those of `fit`, as a config for the next resume, wherever its checkpoint lies then."""
        settings = self.config.fit.clone()
        settings.ckpt_path = settings.checkpoint.dirpath = None
        return str(self._parser("fit").dump(settings, skip_none=False))

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Trainer:
        if self.subcommand != "fit":  # Averaging, stopping and saving belong to training.
            return self.trainer_class(**config)
        extra = [*callbacks, *self.callbacks, LastCheckpoint(), GracefulStop()]
        if config.get("logger"):
            extra.append(LearningRateMonitor(logging_interval="step"))
        if self._stays():
            run = Path(self.config.fit.ckpt_path).absolute().parent.parent
            if (run / "config.yaml").is_file():
                extra.append(ResumedSettings(run, self._settings()))
        plugins = config.get("plugins") or []
        plugins = [*plugins] if isinstance(plugins, list) else [plugins]
        if not any(isinstance(each, CheckpointIO) for each in plugins):
            config["plugins"] = [*plugins, DurableCheckpointIO()]
        return super()._instantiate_trainer(config, extra)


def has_option(args: Sequence[str], *options: str) -> bool:
    """Whether a command line names one of the options."""
    return any(arg.split("=")[0] in options for arg in args)


def without_printing(args: Sequence[str]) -> list[str]:
    """A command line that does its work instead of printing its configuration."""
    return [arg for arg in args if arg.split("=")[0] != "--print_config"]


def _value(args: Sequence[str], option: str) -> str | None:
    """What follows an option, after a space or an equals sign."""
    for arg, following in zip(args, [*args[1:], ""]):
        if arg.split("=")[0] == option:
            return arg.partition("=")[2] or following
    return None


def _config_of(checkpoint: Path, task: str) -> Path:
    """The config of the run that wrote a checkpoint, that of its last resume if it had one.

    Raises:
        InputError: the checkpoint is not where it was written, or of no use.
    """
    config = settings_of(checkpoint.absolute().parent.parent)
    if not config.is_file():
        open_checkpoint(checkpoint, task=task)
        raise InputError(
            f"{config}, the settings that {checkpoint} was trained with, does not exist: name "
            "them with --config"
        )
    return config
