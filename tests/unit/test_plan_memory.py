"""The plan's memory: parameter counts, what a layer keeps, and a real training step's peak."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks.training_memory import peak_of_tensors
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from chord.plan.rank import FRAGMENTS, Rank
from chord.shared_prompts import share_prompts
from chord.shared_prompts.layout import pack
from chord.study.hardware import MODELS, ModelShape, find_shape
from chord.study.yaml_files import read_yaml
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import Lora

ROOT = Path(__file__).parents[2]
SHAPES = read_yaml(ROOT / MODELS, MODELS)
# As their cards and checkpoints have it.
PUBLISHED = {
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "Qwen/Qwen2.5-3B-Instruct": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "meta-llama/Llama-3.2-3B-Instruct": 3_212_749_824,
}


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_those_of_the_architecture(name):
    values = SHAPES[name] | ({"attention_bias": True, "lm_head_bias": True} if "Phi" in name else {})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**values))
    shape = find_shape(ROOT, name, [])
    assert shape.parameters() == model.num_parameters() == PUBLISHED.get(name, shape.parameters())


def test_a_config_of_the_models_own_counts_more(tmp_path):
    values = SHAPES["Qwen/Qwen2.5-0.5B-Instruct"] | {"num_hidden_layers": 3, "something": "else"}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    assert find_shape(ROOT, "Qwen/Qwen2.5-0.5B-Instruct", [tmp_path]).num_hidden_layers == 3
    assert find_shape(ROOT, "no/model", []) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 3}), encoding="utf-8")
    assert find_shape(ROOT, "Qwen/Qwen2.5-0.5B-Instruct", [tmp_path]) is None  # no plan, and no error either


def kept_bytes(layers: int, precision: str, tokens: int, recomputed: bool = False, lora: Lora | None = None) -> int:
    """Bytes of all tensors that a forward pass of packed rows keeps for the backward pass, weights left out."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**config(layers))).train()
    assert share_prompts(model) is None
    if recomputed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if lora:
        peft = pytest.importorskip("peft")
        settings = peft.LoraConfig(r=lora.rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, settings).get_base_model()
    weights = {values.untyped_storage().data_ptr() for values in model.parameters()}
    sizes, alive = {}, []

    def note(values: torch.Tensor) -> torch.Tensor:
        alive.append(values)  # else its memory, and address, would be used again
        sizes[values.untyped_storage().data_ptr()] = values.untyped_storage().nbytes()
        return values

    quarter = [5] * (tokens // 4)
    row = pack([([*quarter, 5], [quarter, quarter]), ([5], [quarter])])  # a prompt that two responses share, and a row
    assert len(row.input_ids) == tokens
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda values: values),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        model.model(**row.inputs(torch.device("cpu")))
    return sum(size for address, size in sizes.items() if address not in weights)


def config(layers: int) -> dict:
    return {
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)], ids=["all weights", "adapters"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_layer_keeps_what_the_plan_says(precision, lora):
    """Counted from the tensors that torch keeps: more tokens less fewer, three layers less two."""
    few, many = (
        kept_bytes(3, precision, tokens, lora=lora) - kept_bytes(2, precision, tokens, lora=lora)
        for tokens in (256, 512)
    )
    a_token = Rank(ModelShape(model_type="qwen2", **config(3)), Scale(precision=precision), lora).saved_bytes()
    assert many - few == pytest.approx(256 * a_token, rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_layer_that_is_recomputed_keeps_its_input_in_fp32(precision):
    three, two = (kept_bytes(layers, precision, 256, recomputed=True) for layers in (3, 2))
    assert three - two == 256 * 64 * 4


def test_adapters_are_counted():
    peft = pytest.importorskip("peft")
    model = Qwen2ForCausalLM(Qwen2Config(**config(2)))
    settings = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    trained, _ = peft.get_peft_model(model, settings).get_nb_trainable_parameters()
    assert ModelShape(model_type="qwen2", **config(2)).adapter_parameters(4) == trained


@pytest.mark.slow
def test_the_peak_of_a_training_step():
    """Of a real step's tensors, less the share that the estimate adds for gaps between blocks of memory.

    Resident memory differs from machine to machine: docs/plan.md has how far the estimate was off on one.
    """
    values = config(6) | {
        "vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1536,
        "num_attention_heads": 8, "num_key_value_heads": 4,
    }  # fmt: skip
    rows, length = 4, 256
    memory = Rank(ModelShape(model_type="qwen2", **values)).update(rows * length)
    tensors = (memory.total / (1 + FRAGMENTS)) - memory.process
    assert peak_of_tensors(values, rows, length) == pytest.approx(tensors, rel=0.1)
