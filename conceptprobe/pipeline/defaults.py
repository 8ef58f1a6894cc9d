"""What a run asks and of which models when nothing is said. Light: `--help` shows it."""

from __future__ import annotations

DEFAULT_MODELS = ("minilm", "pocket-lm", "pocket-lm-b", "pocket-vision", "pocket-joint", "words:cooccurrence")
"""Everything that runs with no network: three readers of text, one of pictures, one of both, and word vectors."""
ASKED = ("encoded", "beyond_words", "shared", "crossmodal")
"""Questions this version can answer, in order."""
NOT_ASKED = {
    "decomposed": "no sparse autoencoder of these models was given",
    "causal": "no intervention was run",
    "emergent": "no series of training checkpoints or model sizes was given",
}
"""Why the other questions have no rows, as the card says it."""
