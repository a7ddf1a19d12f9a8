"""Reads the gradient of a model."""

import torch
from torch import Tensor, nn


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the gradient of each trained parameter, by name; 0 where backward has left none."""
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
