"""Bits per byte of held-out text: under a language model, under xz, and under a smoothed character 5-gram."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.training.books import Book

if TYPE_CHECKING:
    from jaxtyping import Int
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def model_bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    books: Sequence[Book],
    *,
    length: int,
    batch: int = 16,
    fast: bool = False,
) -> float:
    """-log2 p(text) / bytes. Windows of `length` tokens overlap by half, and each token is counted once.

    So every token but a book's first is predicted from at least length / 2 tokens before it, where there are as many.
    `fast` computes in bfloat16, which moves the figure in the third decimal.
    """
    device = next(model.parameters()).device
    first = tokenizer.bos_token_id
    contexts: list[np.ndarray] = []
    counted: list[int] = []
    size = 0
    for book in books:
        ids = np.asarray(tokenizer.backend_tokenizer.encode(book.text, add_special_tokens=False).ids)
        size += len(book.text.encode())
        done = 0
        while done < len(ids):
            start = 0 if done == 0 else done - length // 2
            stop = min(start + length, len(ids))
            contexts.append(np.concatenate([[first], ids[start:stop]]))
            counted.append(stop - done)
            done = stop
    nats = 0.0
    order = sorted(range(len(contexts)), key=lambda i: len(contexts[i]))
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast):
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            width = max(len(contexts[i]) for i in chosen)
            rows = np.full((len(chosen), width), first)
            weight = np.zeros((len(chosen), width - 1), dtype=np.float32)
            for row, i in enumerate(chosen):
                rows[row, : len(contexts[i])] = contexts[i]
                weight[row, len(contexts[i]) - 1 - counted[i] : len(contexts[i]) - 1] = 1.0
            x = torch.as_tensor(rows, device=device)
            logits = model(input_ids=x[:, :-1]).logits.float()
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="none")
            nats += float((loss * torch.as_tensor(weight, device=device).flatten()).sum(dtype=torch.float64))
    return nats / math.log(2) / size


def xz_bits_per_byte(books: Sequence[Book]) -> float:
    """Of xz at its strongest setting, on the books as one file."""
    text = "\n".join(book.text for book in books).encode()
    return 8 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) / len(text)


def ngram_bits_per_byte(train: Sequence[Book], test: Sequence[Book], order: int = 5) -> float:
    """Of a byte n-gram with interpolated Witten-Bell smoothing (Witten & Bell 1991), in text of single-byte characters.

    p_k(c | h) = (count(hc) + kinds(h) p_{k-1}(c | h')) / (count(h) + kinds(h)), h' being h without its first byte and
    p_0 uniform over 256 bytes. In English prose characters outside ASCII are rare, so bytes are characters.
    """
    counts = [_grams(train, n) for n in range(1, order + 1)]
    bits, size = 0.0, 0
    for book in test:
        text = np.frombuffer(book.text.encode(), dtype=np.uint8)
        p = np.full(len(text), 1 / 256)
        for n in range(1, order + 1):
            grams, seen = counts[n - 1]
            whole = _codes(text, n)
            histories, first = np.unique(grams >> 8, return_index=True)
            totals = np.add.reduceat(seen, first)
            kinds = np.diff([*first, len(grams)])
            at = np.searchsorted(histories, whole >> 8)
            at = np.minimum(at, len(histories) - 1)
            known = histories[at] == whole >> 8
            total, kind = np.where(known, totals[at], 0), np.where(known, kinds[at], 0)
            place = np.minimum(np.searchsorted(grams, whole), len(grams) - 1)
            count = np.where(grams[place] == whole, seen[place], 0)
            shorter = p[n - 1 :]
            p[n - 1 :] = np.where(total > 0, (count + kind * shorter) / np.maximum(total + kind, 1), shorter)
        bits -= float(np.log2(p).sum())
        size += len(text)
    return bits / size


def _codes(text: Int[np.ndarray, " t"], n: int) -> Int[np.ndarray, " t"]:
    code = np.zeros(len(text) - n + 1, dtype=np.int64)
    for i in range(n):
        code = (code << 8) | text[i : len(text) - n + 1 + i]
    return code


def _grams(books: Sequence[Book], n: int) -> tuple[Int[np.ndarray, " g"], Int[np.ndarray, " g"]]:
    """Distinct n-grams, sorted, and how often each occurs; counted in groups of books to bound memory."""
    grams, seen = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    pending: list[np.ndarray] = []
    held = 0
    for i, book in enumerate(books):
        text = np.frombuffer(book.text.encode(), dtype=np.uint8)
        if len(text) >= n:
            pending.append(_codes(text, n))
            held += len(pending[-1])
        if held > 10_000_000 or i == len(books) - 1:
            found, times = np.unique(np.concatenate([*pending, np.zeros(0, dtype=np.int64)]), return_counts=True)
            merged, inverse = np.unique(np.concatenate([grams, found]), return_inverse=True)
            total = np.bincount(inverse, weights=np.concatenate([seen, times]), minlength=len(merged))
            grams, seen = merged, total.astype(np.int64)
            pending, held = [], 0
    return grams, seen
