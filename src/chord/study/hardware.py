"""The models and GPUs of a plan: model shapes with the keys of config.json, and a small table of GPU data sheets."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from chord.data.download_spec import folder_name
from chord.errors import UserError, problems_of
from chord.io.files import read_json
from chord.settings import Settings
from chord.study.yaml_files import read_yaml
from chord.world.pretrain_spec import Architecture
from chord.world.tokenizer import words

MODELS = "config/models.yaml"
GPUS = "config/gpus.yaml"
SCALINGS = ("yarn", "linear", "dynamic")  # of rotary embeddings
MODEL_TYPES = ("qwen2", "llama", "phimoe")  # those whose parameters this module can count
Entry = TypeVar("Entry", bound=Settings)


class ModelShape(Settings):
    """The shape of a decoder, with the keys of its config.json."""

    model_type: Literal[MODEL_TYPES]
    vocab_size: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    head_dim: PositiveInt | None = Field(default=None, description="null: hidden_size / num_attention_heads")
    tie_word_embeddings: bool = False
    max_position_embeddings: PositiveInt
    num_local_experts: PositiveInt = Field(default=1, description="experts of a layer; 1: no mixture of experts")
    num_experts_per_tok: PositiveInt = 1

    @property
    def head_size(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def query(self) -> int:
        """Width of all queries of a token."""
        return self.num_attention_heads * self.head_size

    @property
    def key(self) -> int:
        """Width of all keys of a token."""
        return self.num_key_value_heads * self.head_size

    def layer_parameters(self, experts: int | None = None) -> int:
        """Parameters of one layer. experts: how many to count, such as those that process a token (None: all)."""
        h, experts = self.hidden_size, experts or self.num_local_experts
        layer = 2 * h * self.query + 2 * h * self.key + 3 * h * self.intermediate_size * experts + 2 * h
        if self.model_type == "qwen2":
            layer += self.query + 2 * self.key  # biases
        elif self.model_type == "phimoe":
            layer += self.query + 2 * self.key + h + 2 * h + h * self.num_local_experts  # biases, norms', router
        return layer

    def parameters(self, experts: int | None = None) -> int:
        """Parameters of the model. experts: as in `layer_parameters`."""
        h = self.hidden_size
        rest = self.vocab_size * h * (1 if self.tie_word_embeddings else 2) + h
        if self.model_type == "phimoe":
            rest += h + self.vocab_size
        return self.layer_parameters(experts) * self.num_hidden_layers + rest

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of low-rank adapters on all linear layers; the experts of a mixture are not linear layers."""
        h, mlp = self.hidden_size, 3 * (self.hidden_size + self.intermediate_size)
        widths = 2 * (h + self.query) + 2 * (h + self.key) + (mlp if self.num_local_experts == 1 else 0)
        return self.num_hidden_layers * rank * widths

    def forward_flops(self, length: int) -> float:
        """FLOPs of one token in a sequence of `length` tokens.

        Two for each parameter that processes the token, and attention to the half of the sequence that is before it, on
        average.
        """
        active = self.parameters(self.num_experts_per_tok) - self.vocab_size * self.hidden_size  # a look-up is free
        active += self.vocab_size * self.hidden_size if self.tie_word_embeddings else 0
        return 2.0 * active + 2.0 * self.num_hidden_layers * self.query * length

    def cache_values(self) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.num_hidden_layers * self.key


class Gpu(Settings):
    """One row of the table of GPUs, with the makers' speeds: of the GPU without sparsity, and of its links."""

    name: str
    memory_gib: PositiveFloat
    bf16_tflops: PositiveFloat
    bandwidth_gb_s: PositiveFloat
    link_gb_s: PositiveFloat = Field(32, description="to the GPUs of its node, each way; default: PCIe 4 x16")
    network_gb_s: PositiveFloat = Field(12.5, description="to other nodes, each way; default: an adapter of 100 Gb/s")


def model_folders(root: Path, study: str, model: str) -> list[Path]:
    """The folders that may have a study's start model: its own, or the one into which it is fetched."""
    return [root / model, root / "results" / study / "hub" / "models" / folder_name(model)]


def find_shape(root: Path, model: str, folders: list[Path]) -> ModelShape | None:
    """The shape in the config.json of the first folder that has one, or else in the table of models.

    None: unknown, or a kind of model whose parameters are not counted here; only the plan for a GPU needs them.
    """
    for folder in folders:
        values = _config(folder)
        if values is not None:
            known = {key: value for key, value in values.items() if key in ModelShape.model_fields}
            return (
                _entry(ModelShape, known, str(folder / "config.json"))
                if known.get("model_type") in MODEL_TYPES
                else None
            )
    values = _table(root, MODELS).get(model)
    return None if values is None else _entry(ModelShape, values, f"{MODELS}: {model}")


def find_positions(root: Path, model: str, folders: list[Path]) -> int | None:
    """The number of positions for prompt and response together, for any kind of model; otherwise as `find_shape`.

    None: the configuration does not state it.
    """
    configs = [values for folder in folders if (values := _config(folder)) is not None]
    values = configs[0] if configs else _table(root, MODELS).get(model) or {}
    text = values.get("text_config")
    values = values | text if isinstance(text, dict) else values  # a model of text and images
    counts = [values.get(key) for key in ("max_position_embeddings", "n_positions")]
    known = [count for count in counts if isinstance(count, int) and count > 0]
    return _stretched(known[0], values) if known else None


def _stretched(positions: int, values: dict[str, Any]) -> int:
    """Positions with scaled rotary embeddings, for the methods that leave `max_position_embeddings` as it was."""
    scaling = values.get("rope_scaling") or values.get("rope_parameters")
    if not isinstance(scaling, dict) or (scaling.get("rope_type") or scaling.get("type")) not in SCALINGS:
        return positions
    start, factor = scaling.get("original_max_position_embeddings") or positions, scaling.get("factor") or 1
    return max(positions, int(start * factor)) if isinstance(start * factor, int | float) else positions


def _config(folder: Path) -> dict[str, Any] | None:
    file = folder / "config.json"
    if not file.is_file():
        return None
    values = read_json(file)
    if not isinstance(values, dict):
        raise UserError(f"{file}: expected the configuration of a model, got a {type(values).__name__}")
    return values


def world_shape(architecture: Architecture) -> ModelShape:
    """The shape of a base model of the synthetic world, which has one token per word."""
    return ModelShape(
        model_type="qwen2",
        vocab_size=len(words()),
        hidden_size=architecture.hidden,
        intermediate_size=architecture.mlp,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        tie_word_embeddings=False,
        max_position_embeddings=architecture.max_tokens,
    )


def find_gpu(root: Path, name: str) -> Gpu:
    table = _table(root, GPUS)
    if name not in table:
        raise UserError(f"{GPUS}: no GPU {name!r}; expected one of {', '.join(table)}, or a new entry")
    return _entry(Gpu, {"name": name} | table[name], f"{GPUS}: {name}")


def larger_gpus(root: Path, memory_gib: float) -> list[str]:
    """The GPUs in the table that have at least this much memory."""
    return [name for name, values in _table(root, GPUS).items() if values["memory_gib"] >= memory_gib]


def _table(root: Path, file: str) -> dict:
    return read_yaml(root / file, file) if (root / file).is_file() else {}


def _entry(model: type[Entry], values: dict, shown: str) -> Entry:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{shown}: {problems_of(error)[0]}") from None
