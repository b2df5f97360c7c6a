"""Networks of several heads run as one: they equal separate networks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from remix_plugin.modules.heads import HeadMLP


@pytest.mark.parametrize("cells", [[], [4], [4, 6]])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_heads_equal_separate_networks(
    cells: list[int], batch: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    heads = HeadMLP(in_features=5, out_features=2, num_cells=cells, n_heads=3)
    inputs = torch.randn(*batch, 5)
    outputs = heads(inputs)
    assert outputs.shape == (*batch, 3, 2)
    first = heads.first.weight.view(3, -1, 5), heads.first.bias.view(3, -1)
    for head in range(3):
        x = inputs @ first[0][head].T + first[1][head]
        for layer in heads.others:
            x = x.clamp(min=0) @ layer.weight[head].T + layer.bias[head]
        torch.testing.assert_close(outputs[..., head, :], x)
    widths = pairwise([5, *cells, 2])
    count = sum(below * above + above for below, above in widths)
    assert sum(p.numel() for p in heads.parameters()) == 3 * count


def test_heads_share_no_parameter() -> None:
    heads = HeadMLP(in_features=5, out_features=2, num_cells=[4, 6], n_heads=3)
    heads(torch.randn(7, 5))[:, 1].sum().backward()
    assert not heads.first.weight.grad.view(3, 4, 5)[[0, 2]].any()
    for layer in heads.others:
        assert layer.weight.grad[1].any()
        assert not layer.weight.grad[[0, 2]].any()


def test_heads_are_drawn_as_linear_layers_are() -> None:
    torch.manual_seed(0)
    heads = HeadMLP(in_features=100, out_features=50, num_cells=[400, 25], n_heads=8)
    bounds = {"first": 0.1, "others.0": 1 / 20, "others.1": 1 / 5}
    for name, parameter in heads.named_parameters():
        bound = bounds[name.rpartition(".")[0]]
        assert 0.95 * bound < parameter.abs().max() <= bound
        assert parameter.mean().abs() < 0.15 * bound
