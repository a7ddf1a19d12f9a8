"""The plan's memory: parameter counts, what a layer keeps, and a real training step's peak."""

import json
import re
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


# The measured cases of docs/plan.md: layers, hidden, vocabulary, micro-batch, what is trained, MiB measured, estimated,
# and the error.
PAGE = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
MEASURED = [re.split(r" *\| *", line.strip("| \n")) for line in re.findall(r"^\| \d+ \|.* x .*\n", PAGE, re.MULTILINE)]


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: ", ".join(case[:5]))
def test_the_estimate_for_a_cpu_is_an_upper_bound_of_resident_memory(case):
    micro_batch, trained, estimated, error = case[3], case[4], case[6], case[7]
    layers, hidden, vocabulary, measured = (int(case[place].replace(",", "")) for place in (0, 1, 2, 5))
    rows, tokens = (int(number.replace(",", "")) for number in micro_batch.split(" x "))
    sizes = {"vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": 3 * hidden}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4}
    shape = ModelShape(model_type="qwen2", **config(layers) | sizes | heads)
    lora = Lora(rank=16, alpha=32) if "adapters" in trained else None
    memory = Rank(shape, Scale(gradient_checkpointing="checkpointed" in trained), lora).update(rows * tokens)
    mib = (memory.total - memory.process) / 2**20
    assert mib > measured
    assert (estimated, error) == (f"{mib:,.0f}", f"{mib / measured - 1:+.0%}")


def test_the_page_has_small_and_large_cases_with_adapters_and_without():
    assert {case[4] for case in MEASURED} == {
        f"{trained}{more}" for trained in ("all weights", "adapters") for more in ("", ", checkpointed")
    }
    assert len(MEASURED) >= 20


@pytest.mark.parametrize(
    ("precision", "on_gpu", "of_a_logit"), [("fp32", False, 32), ("bf16", False, 32), ("bf16", True, 4)]
)
def test_a_cpu_has_eight_copies_of_the_logits_in_fp32(precision, on_gpu, of_a_logit):
    shape = ModelShape(model_type="qwen2", **config(3) | {"vocab_size": 4096})
    memory = Rank(shape, Scale(precision=precision), Lora(rank=4, alpha=8), on_gpu).update(400)
    assert memory.head == 400 * 4096 * of_a_logit


def test_freed_blocks_take_in_gradients_and_moments_and_large_tiles_go_back():
    shape = ModelShape(model_type="qwen2", **config(3) | {"vocab_size": 4096})
    kept = 3 * 400 * (16 * 64 + 16 * 160 + 8 * 64 + 8 * 32 + 28 * 4) + 400 * (3 * 160 + 2 * 64) * 4 + 400 * 4096 * 32
    adapters = shape.adapter_parameters(4)
    lora = Lora(rank=4, alpha=8)
    assert Rank(shape, Scale(gradient_checkpointing=True), lora).update(400).freed == 0.9 * kept - 12 * adapters
    assert Rank(shape, lora=lora, on_gpu=True).update(400).freed == 0
    # All weights have more bytes of gradients and moments, and a tile of 4,096 x 4,096 logits has 64 MiB.
    assert Rank(shape).update(16).freed == 0
    large = 3 * 4096 * (16 * 64 + 16 * 160 + 8 * 64 + 8 * 32 + 28 * 4) + 4096 * (3 * 160 + 2 * 64) * 4
    assert Rank(shape, lora=lora).update(4096).freed == 0.9 * large - 12 * adapters


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
    tensors = (memory.total / (1 + FRAGMENTS)) - memory.process - memory.freed
    assert peak_of_tensors(values, rows, length) == pytest.approx(tensors, rel=0.1)
