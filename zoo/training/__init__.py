"""What the training scripts share: books, emoji, checkpoints, evaluation and model cards."""
