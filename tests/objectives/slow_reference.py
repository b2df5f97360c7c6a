"""What the slow references of all losses share: float64, one step after the other.

Written from the formulae. Only numbers are taken from the loss under test: its
parameters and its options. Gradients are those of torch on this code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

Parameters = dict[str, Tensor]


@dataclass
class Moment:
    """What networks and masks see at one time of one row.

    Attributes:
        history: observations ``[n, F]`` of the episode in this row, up to this one.
        memory: of networks that begin the history with one, ``[n, H]``; else zero.
    """

    history: list[Tensor]
    state: Tensor
    mask: list[list[bool]]
    memory: dict[str, Tensor] = field(default_factory=dict)

    @property
    def observation(self) -> Tensor:
        return self.history[-1]

    @property
    def mixer_state(self) -> Tensor:
        return torch.cat([self.state, self.observation.flatten()])


@dataclass
class Step:
    """One step: what is seen before and after it, and what it brought."""

    now: Moment
    then: Moment
    action: list[int]
    reward: float
    terminated: bool
    ends: bool
    valid: bool
    importance: float


def rows_of(loss: Any, batch: TensorDictBase) -> list[list[Step]]:
    """Rows of steps; without ``sequential`` each step is a row of its own."""
    if not loss.sequential:
        flat = batch.reshape(-1)
        return [[one_step(loss, td, [], {}, ends=True)] for td in flat.unbind(0)]
    return [one_row(loss, row) for row in batch.unbind(0)]


def one_row(loss: Any, row: TensorDictBase) -> list[Step]:
    memory = initial_memory(loss, row)
    history: list[Tensor] = []
    steps = []
    for t, td in enumerate(row.unbind(0)):
        if flag(td, "is_init", default=False):
            history, memory = [], {}
        ends = flag(td["next"], "done", default=False) or t == len(row) - 1
        if t < len(row) - 1:
            ends = ends or flag(row[t + 1], "is_init", default=False)
            ends = ends or not flag(row[t + 1], ("collector", "mask"), default=True)
        steps.append(one_step(loss, td, history, memory, ends))
        history = steps[-1].now.history
    return steps


def initial_memory(loss: Any, row: TensorDictBase) -> dict[str, Tensor]:
    """Hidden states at the start of a row, the first numbers of all its steps."""
    found = {}
    for name, key in (
        ("local_value_network", "initial_state"),
        ("unrestricted_value_network", "unrestricted_initial_state"),
        ("feature_network", "feature_initial_state"),
    ):
        packed = row.get(key, None)
        if packed is not None and hasattr(loss, name):
            agents, units = getattr(loss, name).hidden_shape
            numbers = [x for step in packed.double().tolist() for x in step]
            numbers = numbers[: agents * units]
            memory = [numbers[a * units : (a + 1) * units] for a in range(agents)]
            found[name] = torch.tensor(memory, dtype=torch.float64)
    return found


def one_step(
    loss: Any,
    td: TensorDictBase,
    history: list[Tensor],
    memory: dict[str, Tensor],
    ends: bool,
) -> Step:
    now = moment(loss, td, history, memory)
    action = td["agents", "action"].tolist()
    if loss.action_space == "one-hot":
        action = [bits.index(1) for bits in action]
    weight = td.get("priority_weight", None)
    return Step(
        now=now,
        then=moment(loss, td["next"], now.history, memory),
        action=action,
        reward=td["next", "reward"].item(),
        terminated=bool(td["next", "terminated"].item()),
        ends=ends,
        valid=flag(td, ("collector", "mask"), default=True),
        importance=1.0 if weight is None else weight.item(),
    )


def moment(
    loss: Any, td: TensorDictBase, history: list[Tensor], memory: dict[str, Tensor]
) -> Moment:
    mask = td["agents", "action_mask"]
    return Moment(
        [*history, td["agents", "observation"].double()],
        td["state"].double(),
        (mask if loss.use_action_mask else torch.ones_like(mask)).tolist(),
        memory,
    )


def flag(td: TensorDictBase, key: Any, default: bool) -> bool:
    entry = td.get(key, None)
    return default if entry is None else bool(entry.item())


def targets(
    rows: list[list[Step]], bootstraps: list[float], gamma: float, lmbda: float
) -> list[float]:
    """Targets of all steps, from the value of each one's next observation."""
    found: list[float] = []
    for row in rows:
        values = bootstraps[len(found) : len(found) + len(row)]
        found += [row_target(row, t, values, gamma, lmbda) for t in range(len(row))]
    return found


def row_target(
    row: list[Step], first: int, values: list[float], gamma: float, lmbda: float
) -> float:
    """Mixture of the targets over 1, 2, ... steps, until the episode or row ends."""
    total = gain = 0.0
    for n, step in enumerate(row[first:]):
        gain += gamma**n * step.reward
        bootstrap = 0.0 if step.terminated else gamma ** (n + 1) * values[first + n]
        is_last = step.ends or first + n == len(row) - 1
        total += lmbda**n * (1.0 if is_last else 1.0 - lmbda) * (gain + bootstrap)
        if is_last:
            break
    return total


def as_double(parameters: Parameters) -> Parameters:
    return {
        key: parameter.detach().double().clone().requires_grad_()
        for key, parameter in parameters.items()
    }


def parameters_of(
    loss: Any, names: tuple[str, ...]
) -> tuple[dict[str, Parameters], dict[str, Parameters]]:
    """Copies of the online parameters of networks, and of their targets' numbers."""
    online, target = {}, {}
    for name in names:
        own = getattr(loss, f"{name}_params").flatten_keys(".")
        online[name] = as_double(dict(own.items()))
        copied = getattr(loss, f"target_{name}_params") if loss.delay_value else own
        frozen = as_double(dict(copied.flatten_keys(".").items()))
        target[name] = {key: number.detach() for key, number in frozen.items()}
    return online, target


def gradients_of(value: Tensor, online: dict[str, Parameters]) -> dict[str, Tensor]:
    """By the name of each network and its parameter; 0 where there is none."""
    named = {f"{n}.{k}": p for n, own in online.items() for k, p in own.items()}
    found = torch.autograd.grad(
        value, list(named.values()), materialize_grads=True, retain_graph=True
    )
    return dict(zip(named, found, strict=True))


def distance(error: Tensor, loss_function: str) -> Tensor:
    if loss_function == "l2":
        return error * error
    size = error if error > 0 else -error
    if loss_function == "l1":
        return size
    return error * error / 2 if size < 1 else size - 0.5


def mean(values: list[Any], steps: list[Step], weighted: bool = False) -> Any:
    """Mean over steps that are not padding, weighted by their importance perhaps."""
    share = [one.importance if weighted else 1.0 for one in steps]
    kept = [s * v for s, v, one in zip(share, values, steps, strict=True) if one.valid]
    total = sum(s for s, one in zip(share, steps, strict=True) if one.valid)
    return sum(kept) / total


def agent_values(
    parameters: dict[str, Parameters], name: str, moment: Moment, agent: int
) -> Tensor:
    """What the network of one agent says: utilities ``[A]``, or features ``[F]``."""
    own = parameters[name]
    if "cell.weight_ih" in own:
        hidden = own["cell.weight_hh"].new_zeros(own["cell.weight_hh"].shape[1])
        if name in moment.memory:
            hidden = moment.memory[name][agent]
        for observation in moment.history:
            hidden = gru(own, observation[agent], hidden)
        return dense(own, "head", hidden)
    hidden = dense(own, "module.below", moment.observation[agent]).tanh()
    return 3.0 * dense(own, "module.above", hidden)


def gru(parameters: Parameters, inputs: Tensor, hidden: Tensor) -> Tensor:
    """The memory after one more input."""
    below = parameters["cell.weight_ih"] @ inputs + parameters["cell.bias_ih"]
    above = parameters["cell.weight_hh"] @ hidden + parameters["cell.bias_hh"]
    size = len(hidden)
    reset = 1 / (1 + (-below[:size] - above[:size]).exp())
    keep = 1 / (1 + (-below[size : 2 * size] - above[size : 2 * size]).exp())
    new = (below[2 * size :] + reset * above[2 * size :]).tanh()
    return keep * hidden + (1 - keep) * new


def best(values: Tensor, available: list[bool]) -> int:
    """The best available action, the first among equals."""
    allowed = [a for a, ok in enumerate(available) if ok]
    return max(allowed, key=lambda a: values[a].item())


def softmax(values: Tensor, available: list[bool], action: int) -> float:
    allowed = [values[a].item() for a, ok in enumerate(available) if ok]
    top = max(allowed)
    total = sum(math.exp(x - top) for x in allowed)
    return math.exp(values[action].item() - top) / total if available[action] else 0.0


def monotonic(
    parameters: Parameters, chosen: list[Tensor], state: Tensor
) -> tuple[Tensor, list[float]]:
    """``Q_tot`` of QMIX and ``g_a = sum_j elu'(z_j) |W1|_aj |w2|_j``."""
    w1 = deep(parameters, "module.hyper_w_1", state).abs()
    w2 = deep(parameters, "module.hyper_w_final", state).abs()
    b1 = dense(parameters, "module.hyper_b_1", state)
    value = deep(parameters, "module.V", state)[0]
    gradient = [0.0] * len(chosen)
    for j in range(len(w2)):
        z = b1[j]
        for a, q in enumerate(chosen):
            z = z + q * w1[a * len(w2) + j]
        value = value + (z if z > 0 else z.exp() - 1) * w2[j]
        slope = 1.0 if z > 0 else math.exp(z.item())
        for a in range(len(chosen)):
            gradient[a] += slope * w1[a * len(w2) + j].item() * w2[j].item()
    return value, gradient


def dense(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    return parameters[f"{name}.weight"] @ inputs + parameters[f"{name}.bias"]


def deep(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    """A linear layer, or linear layers numbered 0, 2, 4, ... with ReLU between."""
    if f"{name}.weight" in parameters:
        return dense(parameters, name, inputs)
    number = 0
    while f"{name}.{number}.weight" in parameters:
        if number:
            inputs = inputs.relu()
        inputs = dense(parameters, f"{name}.{number}", inputs)
        number += 2
    return inputs
