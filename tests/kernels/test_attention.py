"""Kernels: the fused attention computes attention, and the choice is on record."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from conceptprobe.kernels import attention, attention_for, chosen, verify_sdpa


@dataclass(frozen=True)
class Row:
    model_type: str
    sdpa: bool


def test_fused_attention_equals_a_float64_softmax_under_padding() -> None:
    assert verify_sdpa(trials=24) < 1e-5


def test_the_check_sees_a_kernel_that_forgets_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda q, k, v, attn_mask: real(q, k, v))
    assert verify_sdpa(trials=24) > 1e-2


def test_the_choice_follows_the_table_and_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_chosen", {})
    assert chosen() == {}
    assert attention_for(Row("llama", True), "cpu").name == "sdpa"
    assert attention_for(Row("bloom", False), "cpu").name == "eager"
    assert set(chosen()) == {"llama", "bloom"}
    assert chosen()["bloom"]["name"] == "eager"
    assert chosen()["llama"]["device"] == "cpu"
    chosen()["llama"]["name"] = "changed by a reader"
    assert chosen()["llama"]["name"] == "sdpa"
