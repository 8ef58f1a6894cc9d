"""`api:URL#MODEL`: a model behind an embeddings endpoint that speaks the OpenAI protocol, as closed ones do.

Such a model gives one vector per text, the site `pooled`, and nothing else: no layers, no spans, no tokens, no untrained twin.
It stands in every question as far as that goes. Whoever serves a model can change it behind its name: its sha256 is that of
the name, and what was served once is kept in the cache and never asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NoReturn
from urllib.parse import urlsplit

from conceptprobe.errors import UsageError
from conceptprobe.models.base import POOLINGS, ModelInfo, Pooling
from conceptprobe.models.hashing import combined
from conceptprobe.models.options import DEFAULT, Options

if TYPE_CHECKING:
    from conceptprobe.models.api_client import ApiModel

SCHEME = "api:"
FAMILY = "api"
_HINT = "as in api:https://api.example.com/v1#text-embedding-3-small"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ApiSpec:
    """A served model: where it is, and what it is called there. Nothing is asked of it before it is loaded."""

    info: ModelInfo
    url: str
    """Up to and without `/embeddings`."""
    model: str
    options: Options = DEFAULT
    """Of which a served model takes the prefix alone: all others are about what is loaded, and nothing is."""

    sites: ClassVar[tuple[str, ...]] = ("pooled",)
    extra_sites: ClassVar[tuple[str, ...]] = ()
    poolings: ClassVar[tuple[Pooling, ...]] = POOLINGS
    """All of them, as `pooled` is the same under each."""
    ignores: ClassVar[tuple[str, ...]] = tuple(field.name for field in fields(Options) if field.name != "prefix")

    def load(self) -> ApiModel:
        """The model as one can ask it; the key is read from the environment now. Sends nothing."""
        from conceptprobe.models.api_client import api_model

        return api_model(self)

    def twin(self, seed: int) -> NoReturn:
        """Raises UsageError: nobody but who trained it can draw it anew."""
        raise UsageError(
            f"'{self.info.name}' has no random twin, because only its vectors are served",
            hint="name a model whose weights can be read",
        )


def api_spec(name: str) -> ApiSpec:
    """The spec of a served model by its name. Imports no library of HTTP, asks for no key, and sends nothing.

    Raises UsageError for a name without a model, a URL that would carry a key or texts in the clear, or one that holds a
    secret: names are written into every file of a run.
    """
    url, _, model = name.removeprefix(SCHEME).partition("#")
    url, model = url.rstrip("/"), model.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the URL of an 'api:' model cannot be read", hint=_HINT) from None
    if "@" in parts.netloc or parts.query:
        raise UsageError(
            f"the URL of an 'api:' model at {host} holds more than an address",
            hint="names of models are written into every file: put the key into CONCEPTPROBE_API_KEY instead",
        )
    if parts.scheme not in ("http", "https") or not host or not model:
        raise UsageError(f"'{name}' names no served model", hint=_HINT)
    if parts.scheme == "http" and host not in _LOCAL:
        raise UsageError(
            f"'{name}' would be asked in the clear, and your key would travel with it",
            hint="https, or http on localhost alone",
        )
    source = f"{url}#{model}"
    sha256 = combined({"url": url, "model": model})
    info = ModelInfo(
        name=name,
        source=source,
        revision="as served",
        sha256=sha256,
        family=FAMILY,
        modalities=("text",),
        n_layers=0,
        d_model=0,  # unknown until it has answered
        n_params=0,
        dtype="float32",
        # A model of the hub keeps its name where it is served.
        lineage=(source, model),
    )
    return ApiSpec(info, url, model)
