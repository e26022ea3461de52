"""The quantizer of IBQ, from TencentARC/SEED-Voken `IBQ/modules/vqvae/quantize.py`; its weights are a plain VQ's."""

import torch
from torch import Tensor, nn


class IndexPropagationQuantize(nn.Module):
    def __init__(self, n_e: int, e_dim: int, beta: float = 0.25) -> None:
        super().__init__()
        self.beta = beta
        self.embedding = nn.Embedding(n_e, e_dim)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, tuple[None, None, Tensor]]:
        logits = torch.einsum("bdhw,nd->bnhw", z, self.embedding.weight)
        soft = logits.softmax(1)
        chosen = soft.max(1, keepdim=True)[1]
        hard = torch.zeros_like(logits).scatter_(1, chosen, 1.0)
        z_q = torch.einsum("bnhw,nd->bdhw", hard - soft.detach() + soft, self.embedding.weight)
        z_q_2 = torch.einsum("bnhw,nd->bdhw", hard, self.embedding.weight)
        loss = ((z_q - z) ** 2).mean() + ((z_q_2.detach() - z) ** 2).mean()
        loss = loss + self.beta * ((z_q_2 - z.detach()) ** 2).mean()
        return z_q, loss, (None, None, chosen.flatten())

    def get_codebook_entry(self, indices: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.embedding(indices).view(shape).permute(0, 3, 1, 2).contiguous()


def averages(model: nn.Module) -> dict[str, Tensor]:
    """The keys that `LitEma` (`IBQ/modules/ema.py`) adds: every parameter again, without dots, and two numbers."""
    shadow = {f"model_ema.{name.replace('.', '')}": value.clone() for name, value in model.named_parameters()}
    return shadow | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(10)}
