"""Kernels: which one a model gets, and the proof that it computes the same. `attention` is all there is so far."""

from conceptprobe.kernels.attention import KernelChoice, attention_for, chosen, verify_sdpa

__all__ = ["KernelChoice", "attention_for", "chosen", "verify_sdpa"]
