"""What a plan needs to know of models and GPUs: shapes by the keys of config.json, and a small table of data sheets."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from chord.errors import UserError
from chord.io.files import read_json
from chord.settings import Settings
from chord.study.yaml_files import read_yaml
from chord.world.pretrain_spec import Architecture
from chord.world.tokenizer import words

MODELS = "config/models.yaml"
GPUS = "config/gpus.yaml"
SCALINGS = ("yarn", "linear", "dynamic")  # of rotary embeddings
MODEL_TYPES = ("qwen2", "llama", "phimoe")  # those whose parameters are counted here
Entry = TypeVar("Entry", bound=Settings)


class ModelShape(Settings):
    """The shape of a decoder, by the names that its config.json has for it."""

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
        """Of one layer. experts: count only so many of them, such as those that a token meets."""
        h, experts = self.hidden_size, experts or self.num_local_experts
        layer = 2 * h * self.query + 2 * h * self.key + 3 * h * self.intermediate_size * experts + 2 * h
        if self.model_type == "qwen2":
            layer += self.query + 2 * self.key  # biases
        elif self.model_type == "phimoe":
            layer += self.query + 2 * self.key + h + 2 * h + h * self.num_local_experts  # biases, norms', router
        return layer

    def parameters(self, experts: int | None = None) -> int:
        """How many. experts: as above."""
        h = self.hidden_size
        rest = self.vocab_size * h * (1 if self.tie_word_embeddings else 2) + h
        if self.model_type == "phimoe":
            rest += h + self.vocab_size
        return self.layer_parameters(experts) * self.num_hidden_layers + rest

    def adapter_parameters(self, rank: int) -> int:
        """Of low-rank adapters on all linear layers of the decoder; experts of a mixture are no linear layers."""
        h, mlp = self.hidden_size, 3 * (self.hidden_size + self.intermediate_size)
        widths = 2 * (h + self.query) + 2 * (h + self.key) + (mlp if self.num_local_experts == 1 else 0)
        return self.num_hidden_layers * rank * widths

    def forward_flops(self, length: int) -> float:
        """Of one token in a sequence of this many: two for each parameter that it meets, and attention to the half of
        the sequence that is before it, on average."""
        met = self.parameters(self.num_experts_per_tok) - self.vocab_size * self.hidden_size  # looking up costs nothing
        met += self.vocab_size * self.hidden_size if self.tie_word_embeddings else 0
        return 2.0 * met + 2.0 * self.num_hidden_layers * self.query * length

    def cache_values(self) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.num_hidden_layers * self.key


class Gpu(Settings):
    """One row of the table; speeds are the maker's, without sparsity."""

    name: str
    memory_gib: PositiveFloat
    bf16_tflops: PositiveFloat
    bandwidth_gb_s: PositiveFloat


def model_folders(root: Path, study: str, model: str) -> list[Path]:
    """Where a study's start model may be: its own folder, or the one that it is fetched to."""
    return [root / model, root / "results" / study / "hub" / "models" / model]


def find_shape(root: Path, model: str, folders: list[Path]) -> ModelShape | None:
    """Of the config.json in the first of the folders that has one, else of the table of models.

    None: not known, or a kind of model that is not counted here, which any study but one that plans for a GPU may have.
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
    """How many positions the model has for prompt and response together: as `find_shape`, for any kind of model.

    None: its configuration does not say.
    """
    configs = [values for folder in folders if (values := _config(folder)) is not None]
    values = configs[0] if configs else _table(root, MODELS).get(model) or {}
    text = values.get("text_config")
    values = values | text if isinstance(text, dict) else values  # of a model that sees too
    found = [values.get(key) for key in ("max_position_embeddings", "n_positions")]
    known = [count for count in found if isinstance(count, int) and count > 0]
    return _stretched(known[0], values) if known else None


def _stretched(positions: int, values: dict[str, Any]) -> int:
    """With the rotary embeddings scaled: those methods whose factor `max_position_embeddings` does not hold already."""
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
    """Of a base model of the synthetic world, which has one token a word."""
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
    """The GPUs of the table that have at least so much memory."""
    return [name for name, values in _table(root, GPUS).items() if values["memory_gib"] >= memory_gib]


def _table(root: Path, file: str) -> dict:
    return read_yaml(root / file, file) if (root / file).is_file() else {}


def _entry(model: type[Entry], values: dict, shown: str) -> Entry:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{shown}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
