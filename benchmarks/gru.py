"""Measures the fused GRU against BenchMARL's GRU on the same rows, in one process.

Prints a markdown table of the time of one forward and one backward pass of BenchMARL's
``gru`` model, the plugin's ``fused_gru`` and a bare ``torch.nn.GRU``. The models have
shared parameters, a linear head and episodes that end inside the rows; the bare GRU has
neither head nor resets and is what no model on its kernel can be faster than. They take
turns, so that whatever else the machine does falls on all alike; medians and quartiles
are over turns.

Usage: python benchmarks/gru.py [--device cuda] [--threads 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from benchmarl.models import GruConfig
from benchmarl.models.common import ModelConfig
from side_by_side import machine, print_ratios, take_turns
from tensordict import TensorDict
from torch import nn
from torchrl.data import Composite, Unbounded

from remix_plugin.commands.arguments import device, whole
from remix_plugin.models.fused_gru import FusedGruConfig

FEATURES = 75
HIDDEN = 64
ACTIONS = 5
EPISODE_ENDS = 3
TURNS = 7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=whole(1), default=32)
    parser.add_argument("--steps", type=whole(5), default=200)
    parser.add_argument("--agents", type=whole(1), default=8)
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=whole(1), default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(machine(args.device, args.threads))
    print(
        f"{args.rows} rows x {args.steps} steps x {args.agents} agents, {FEATURES} "
        f"features, hidden {HIDDEN}, {EPISODE_ENDS} episode ends a row"
    )
    passes = _passes(args.rows, args.steps, args.agents, args.device)
    seconds = take_turns(passes, args.device, TURNS, repeats=1)
    print_ratios("model | ms forward + backward", seconds, "fused_gru")


def _passes(
    rows: int, steps: int, agents: int, device: str
) -> dict[str, Callable[[], object]]:
    """A forward and backward pass of each model, by name."""
    observation = torch.randn(rows, steps, agents, FEATURES, device=device)
    is_init = torch.zeros(rows, steps, 1, dtype=torch.bool, device=device)
    # Ends differ between rows and are spread evenly; no row begins with one.
    spacing = torch.arange(1, EPISODE_ENDS + 1, device=device) * steps
    begins = spacing // (EPISODE_ENDS + 1) + torch.arange(rows, device=device)[:, None]
    is_init[torch.arange(rows)[:, None], begins % (steps - 1) + 1] = True
    data = TensorDict(
        {"agents": {"observation": observation}, "is_init": is_init}, (rows, steps)
    )
    configs: dict[str, ModelConfig] = {
        "BenchMARL gru": GruConfig(
            hidden_size=HIDDEN,
            n_layers=1,
            bias=True,
            dropout=0,
            compile=False,
            mlp_num_cells=[],
            mlp_layer_class=nn.Linear,
            mlp_activation_class=nn.ReLU,
        ),
        "fused_gru": FusedGruConfig(
            encoder_num_cells=[],
            hidden_size=HIDDEN,
            n_layers=1,
            bias=True,
            mlp_num_cells=[],
            activation_class=nn.ReLU,
        ),
    }
    passes = {name: _model(c, agents, device, data) for name, c in configs.items()}
    bare = nn.GRU(FEATURES, HIDDEN, device=device)
    # Steps first and agents in the batch, as the kernel likes it best.
    sequences = observation.transpose(0, 1).flatten(1, 2).contiguous()
    passes["torch.nn.GRU, no resets"] = lambda: bare(sequences)[0].sum().backward()
    return passes


def _model(
    config: ModelConfig, agents: int, device: str, data: TensorDict
) -> Callable[[], object]:
    """A pass of one of BenchMARL's models."""

    def spec(key: str, size: int) -> Composite:
        leaf = Unbounded(shape=(agents, size), device=device)
        return Composite({"agents": Composite({key: leaf}, shape=(agents,))})

    model = config.get_model(
        input_spec=spec("observation", FEATURES),
        output_spec=spec("action_value", ACTIONS),
        agent_group="agents",
        input_has_agent_dim=True,
        n_agents=agents,
        centralized=False,
        share_params=True,
        device=device,
        action_spec=Composite(),
    )
    return lambda: model(data.copy())["agents", "action_value"].sum().backward()


if __name__ == "__main__":
    main()
