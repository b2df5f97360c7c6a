"""What is missing for loggers and pictures is said before a run begins."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from remix_plugin import packages
from remix_plugin.experiment import loggers
from remix_plugin.experiment.first_look import FirstLook, look

Compose = Callable[..., DictConfig]
TASK = "task=predator_prey/punish_2"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with none of the packages of loggers."""
    for package in ("wandb", "moviepy", "tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(loggers, "torchvision_writes_videos", lambda: False)


def stopped(config: DictConfig) -> str:
    with pytest.raises(SystemExit) as stop:
        look(config)
    return str(stop.value.code)


@pytest.mark.usefixtures("bare")
def test_the_command_that_works_keeps_all_else(compose_benchmarl: Compose) -> None:
    config = compose_benchmarl("algorithm=remix", TASK, "seed=3")
    message = stopped(config)
    assert "needs the package wandb, which is not installed" in message
    assert message.endswith(
        f"python -m benchmarl.run algorithm=remix {TASK} seed=3 "
        "'experiment.loggers=[csv]'"
    )
    again = compose_benchmarl("algorithm=remix", TASK, "experiment.loggers=[csv]")
    look(again)


@pytest.mark.usefixtures("bare")
def test_an_override_that_fails_is_replaced(compose_benchmarl: Compose) -> None:
    given = "experiment.loggers=[tensorboard]"
    message = stopped(compose_benchmarl("algorithm=remix", TASK, given))
    assert given not in message.partition("This works")[2]


def test_pictures_that_cannot_be_written_stop_tasks_that_draw_them(
    compose_benchmarl: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda name: name != "moviepy")
    words = ("algorithm=remix", "experiment.loggers=[tensorboard]")
    message = stopped(compose_benchmarl(*words, TASK))
    assert "needs the package moviepy" in message
    assert message.endswith("experiment.render=False")
    look(compose_benchmarl(*words, TASK, "experiment.render=False"))
    look(compose_benchmarl(*words, "task=matrix_game/qtran"))


def test_unknown_loggers_are_left_to_the_check_of_options(
    compose_benchmarl: Compose,
) -> None:
    look(compose_benchmarl("algorithm=remix", TASK, "experiment.loggers=[paper]"))


def test_only_our_algorithms_are_looked_at(compose_benchmarl: Compose) -> None:
    name = f"{FirstLook.__module__}.{FirstLook.__name__}"
    (ours,) = compose_benchmarl("algorithm=remix", TASK).hydra.callbacks.values()
    assert ours["_target_"] == name
    assert not compose_benchmarl("algorithm=qmix", TASK).hydra.callbacks
