"""Pretraining: the tokenizer's promises, the stream of rows, the rate, a resume without a trace, a loadable model."""

import itertools
import random
import re
import shutil
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

from chord.errors import UserError
from chord.gates import missed_gates
from chord.io.files import read_json
from chord.io.locks import exclusive
from chord.io.provenance import file_sha256
from chord.rollouts import encode_prompts
from chord.world import pretrain, problems, skills, solutions
from chord.world.gates import guess_rate, marker_logp, measure_gates
from chord.world.pretrain_spec import Gates, Mixture, PretrainSpec
from chord.world.rows import skill_rows, world_rows
from chord.world.tokenizer import build_tokenizer, words

TINY = {
    "seed": 1,
    "architecture": {"hidden": 16, "layers": 1, "heads": 2, "kv_heads": 1, "mlp": 16},
    "steps": 6,
    "rows_per_step": 8,
    "warmup_steps": 1,
    "checkpoint_every": 2,
    "gates": {"enforce": False, "questions": 2, "samples": 2, "max_response_tokens": 12},
}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(256)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrain") / "base_model"
    return out, pretrain.run(TINY, out)


def texts(seed: int, k: int) -> tuple[str, str]:
    problem = problems.generate(seed, k)
    return problem.text, solutions.write(problem, solutions.base_style(0.5, 0.3, 0.3, 0.5), random.Random(seed))


@given(seed=st.integers(0, 2**62), k=st.integers(2, 6))
def test_prompt_response_and_end_are_the_whole_conversation(seed, k):
    tokenizer = build_tokenizer(256)
    prompt, response = texts(seed, k)
    messages = [{"role": "user", "content": prompt}]
    opened = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    closed = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": response}], tokenize=False)
    assert closed == opened + response + tokenizer.eos_token
    (prompt_ids,) = encode_prompts(tokenizer, [{"messages": messages}])
    response_ids = tokenizer(response, add_special_tokens=False).input_ids
    assert tokenizer(closed, add_special_tokens=False).input_ids == [*prompt_ids, *response_ids, tokenizer.eos_token_id]
    assert tokenizer.decode([*response_ids, tokenizer.eos_token_id], skip_special_tokens=True) == response


def test_vocabulary_covers_world_and_skills(tokenizer):
    assert len(tokenizer) == len(set(words())) == len(words())
    rows = world_rows("rl", "rl", (2, 3, 4, 5, 6), 50, 1) + skill_rows("s", skills.GROUPS, 20, 1)
    for row in rows:
        ids = tokenizer(row["messages"][0]["content"]).input_ids
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == len(row["messages"][0]["content"].split())
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id}) == 4


def test_tokenizer_of_the_model_folder_is_ours(trained, tokenizer, tmp_path):
    """transformers would take Qwen2's own tokenizer for a Qwen2 folder; and a trainer saves it again."""
    out, _ = trained
    loaded = AutoTokenizer.from_pretrained(out)
    loaded.save_pretrained(tmp_path / "alone")
    AutoModelForCausalLM.from_pretrained(out).save_pretrained(tmp_path / "model")
    loaded.save_pretrained(tmp_path / "model")
    for folder in (out, tmp_path / "alone", tmp_path / "model"):
        again = AutoTokenizer.from_pretrained(folder)
        assert again.get_vocab() == tokenizer.get_vocab()
        assert again.decode(again("Ann has 7 . find Ann and Bob ?").input_ids) == "Ann has 7 . find Ann and Bob ?"
        assert again.chat_template == tokenizer.chat_template
        assert (again.pad_token, again.bos_token, again.eos_token) == ("<pad>", "<bos>", "<eos>")


def test_longest_expert_solution_fits():
    """96 response tokens, and 256 with the prompt, hold every problem of the study (k up to 5)."""
    for seed in range(500):
        problem = problems.generate(seed, 5)
        response = len(solutions.write_expert(problem).split()) + 1
        assert response <= 96
        assert len(problem.text.split()) + 3 + response <= 256


def test_rows_are_of_the_pretraining_split_and_right():
    for index in range(200):
        prompt, solution = pretrain.row(Mixture(), 1, index)
        if "find" in prompt:
            problem = problems.parse(prompt)
            assert problems.split_of(problem) == "pretrain"
            assert solution.endswith("answer " + solutions.gold(problem)) or "look" in solution or "compute" in solution
        else:
            assert not skills.is_test(prompt)
            assert re.fullmatch(r"\w+ is option [1-4]", solution)
    assert pretrain.row(Mixture(), 1, 7) == pretrain.row(Mixture(), 1, 7) != pretrain.row(Mixture(), 2, 7)


def test_exposure_is_the_share_of_written_elements():
    mixture = Mixture(exposure=0.1, skipping=0.0, skills=0.0, k_weights={4: 1.0})
    looks = sum(pretrain.row(mixture, 1, index)[1].split().count("look") for index in range(500))
    assert looks / 2000 == pytest.approx(0.1, abs=0.025)


def test_elements_of_the_expert_are_wrong_as_often_as_the_mixture_says():
    """slip = 0.5 of the digits looked up, of which a tenth is right by chance."""
    mixture = Mixture(exposure=1.0, slip=0.5, skipping=0.0, skills=0.0, k_weights={4: 1.0})
    wrong, total = 0, 0
    for index in range(500):
        prompt, solution = pretrain.row(mixture, 1, index)
        first = solutions.order(problems.parse(prompt))[0]  # a number given outright
        looked_up = re.search(rf"{first.name} look (\d)", solution)[1]
        wrong, total = wrong + (looked_up != first.left), total + 1
    assert wrong / total == pytest.approx(0.45, abs=0.06)


def test_batches_train_on_solutions_only(tokenizer):
    spec = PretrainSpec(seed=1, steps=3, rows_per_step=8, micro_batches=3)
    for step, parts in enumerate(pretrain.batches(spec, tokenizer, 1), start=1):
        seen = []
        for inputs, labels in parts:
            assert inputs.shape == labels.shape
            for tokens, marks in zip(inputs, labels, strict=True):
                kept = marks[marks != pretrain.IGNORED]
                whole = [*tokens[tokens != tokenizer.pad_token_id].tolist(), tokenizer.eos_token_id]
                assert kept.tolist() == whole[-len(kept) :]
                assert whole[-len(kept) - 1] == tokenizer.convert_tokens_to_ids("<assistant>")
                seen.append(tokenizer.decode(kept, skip_special_tokens=True))
        mixture = spec.first if step < spec.anneal_from else spec.mixture
        wanted = [pretrain.row(mixture, 1, step * 8 + place)[1] for place in range(8)]
        assert sorted(seen) == sorted(wanted)


def test_number_of_micro_batches_changes_nothing(tokenizer, tmp_path):
    results = []
    for parts in (1, 4):
        spec = PretrainSpec.model_validate(TINY | {"steps": 3, "micro_batches": parts})
        model = pretrain.build_model(spec.architecture, tokenizer, 1).double()
        pretrain.train(spec, model, tokenizer, tmp_path / str(parts))
        results.append(model.model.embed_tokens.weight.detach())
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


def test_rate_warms_up_stays_and_falls():
    spec = PretrainSpec(seed=1, steps=100, warmup_steps=4, anneal_share=0.4)
    rates = [pretrain.rate(spec, step) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(rates[4:61]) == {1.0}
    assert rates[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])
    constant = PretrainSpec(seed=1, steps=10, warmup_steps=0, anneal_share=0.0)
    assert [pretrain.rate(constant, step) for step in range(10)] == [1.0] * 10


class Killed(Exception):
    pass


def test_killed_training_goes_on_to_the_same_bits(trained, tmp_path, monkeypatch):
    straight, _ = trained
    out = tmp_path / "base_model"
    real = pretrain.rate

    def rate(spec, step):
        if step == 5:
            raise Killed
        return real(spec, step)

    monkeypatch.setattr(pretrain, "rate", rate)
    with pytest.raises(Killed):
        pretrain.run(TINY, out)
    assert not out.exists()
    monkeypatch.setattr(pretrain, "rate", real)
    record = pretrain.run(TINY, out)
    assert record["history"][-1]["step"] == 6
    assert file_sha256(out / "model.safetensors") == file_sha256(straight / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["base_model"]


@pytest.mark.parametrize(("changed", "differs"), [({"seed": 2}, "spec"), ({}, "code")])
def test_training_does_not_resume_from_another_one(changed, differs, tokenizer, tmp_path, caplog, monkeypatch):
    checkpoints = tmp_path / "checkpoints"

    def train(values: dict) -> Qwen2ForCausalLM:
        spec = PretrainSpec.model_validate(values)
        model = pretrain.build_model(spec.architecture, tokenizer, spec.seed)
        pretrain.train(spec, model, tokenizer, checkpoints)
        return model

    straight = train(TINY | changed)
    shutil.rmtree(checkpoints)
    train(TINY)
    assert (checkpoints / "state.pt").exists()
    if differs == "code":
        monkeypatch.setattr(pretrain, "source_sha256", lambda *rooms: "of edited code")
    caplog.set_level("INFO")
    anew = train(TINY | changed)
    assert f"{checkpoints / 'identity.json'}: of a job with another {differs}; starts anew" in caplog.text
    for name, values in straight.state_dict().items():
        assert torch.equal(values, anew.state_dict()[name])


@pytest.mark.parametrize("damage", ["cut off", "a changed byte"])
def test_training_does_not_resume_from_a_damaged_checkpoint(damage, trained, tokenizer, tmp_path, caplog, monkeypatch):
    straight, _ = trained
    checkpoint = tmp_path / "checkpoints/state.pt"
    spec = PretrainSpec.model_validate(TINY)
    pretrain.train(spec, pretrain.build_model(spec.architecture, tokenizer, spec.seed), tokenizer, checkpoint.parent)
    content = bytearray(checkpoint.read_bytes())
    if damage == "cut off":
        del content[-1000:]
    else:
        with zipfile.ZipFile(checkpoint) as archive:  # what lies between its parts has no checksum and no meaning
            largest = archive.read(max(archive.infolist(), key=lambda part: part.file_size))
        content[content.index(largest) + len(largest) // 2] ^= 1
    checkpoint.write_bytes(content)
    model = pretrain.build_model(spec.architecture, tokenizer, spec.seed)
    pretrain.train(spec, model, tokenizer, checkpoint.parent)
    assert f"{checkpoint}: damaged" in caplog.text
    for name, values in AutoModelForCausalLM.from_pretrained(straight).state_dict().items():
        assert torch.equal(values, model.state_dict()[name])


def test_two_processes_cannot_train_into_one_folder(tmp_path):
    lock = tmp_path / "base_model.lock"
    with (
        exclusive(lock, "training this base model", beat=0.2),
        pytest.raises(UserError, match="is training this base model"),
    ):
        pretrain.run(TINY, tmp_path / "base_model")
    assert not (tmp_path / "base_model").exists()


def test_result_is_a_stock_model_with_card_and_manifest(trained):
    out, record = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    assert type(model) is Qwen2ForCausalLM
    assert model.get_input_embeddings().weight is not model.get_output_embeddings().weight
    assert model.dtype == torch.float32
    assert record["weights_sha256"] == file_sha256(out / "model.safetensors")
    assert read_json(out / "manifest.json") == record
    card = (out / "README.md").read_text()
    assert record["weights_sha256"] in card
    assert all(f"`{name}`" in card for name in ("accuracy", "gap", "entropy", "marker_logp", "skills", "guess_rate"))


def test_going_on_starts_from_the_weights_of_the_start(trained, tokenizer, tmp_path):
    start, made = trained
    record = pretrain.run(
        TINY | {"steps": 1, "muon_lr": 1e-9, "adamw_lr": 1e-9, "weight_decay": 0.0}, tmp_path / "b", start
    )
    assert record["inputs"]["start"]["model.safetensors"] == made["weights_sha256"]
    before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (start, tmp_path / "b"))
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=0, atol=1e-7)
    card = (tmp_path / "b" / "README.md").read_text()
    assert "--start START" in card
    assert made["weights_sha256"] in card


def test_a_start_of_another_architecture_is_refused(trained, tmp_path):
    start, _ = trained
    wider = TINY | {"architecture": TINY["architecture"] | {"mlp": 32}}
    with pytest.raises(UserError, match="not a base model of the world with the specification's architecture"):
        pretrain.run(wider, tmp_path / "b", start)


def test_training_does_not_resume_from_another_start(tokenizer, tmp_path, caplog):
    spec = PretrainSpec.model_validate(TINY)
    caplog.set_level("INFO")
    for files in ({"model.safetensors": "one"}, {"model.safetensors": "two"}):
        model = pretrain.build_model(spec.architecture, tokenizer, spec.seed)
        pretrain.train(spec, model, tokenizer, tmp_path / "checkpoints", files)
    assert "of a job with another start; starts anew" in caplog.text


def test_missed_gates_fail_and_keep_the_model_beside(tmp_path):
    spec = TINY | {"steps": 1, "gates": TINY["gates"] | {"enforce": True}}
    with pytest.raises(UserError, match=r"gate accuracy: 0\.000 is outside \[0\.25, 0\.5\]") as caught:
        pretrain.run(spec, tmp_path / "base_model")
    assert "gate skills" in str(caught.value)
    assert not (tmp_path / "base_model").exists()
    assert (tmp_path / "base_model.rejected" / "model.safetensors").exists()


def test_missed_names_only_what_is_out_of_bounds():
    good = {"guess_rate": 0.01, "accuracy": 0.4, "gap": 0.3, "entropy": 0.3, "marker_logp": -2.5, "skills": 0.95}
    assert missed_gates(good, Gates()) == []
    assert missed_gates(good | {"marker_logp": -0.5}, Gates()) == ["gate marker_logp: -0.500 is outside [-4.0, -1.0]"]


def test_guess_rate_is_about_one_percent():
    assert 0.01 <= guess_rate((3, 4, 5), 1) <= 0.02


@pytest.fixture
def uniform(tokenizer):
    """A model that gives every word the same probability."""
    spec = PretrainSpec.model_validate(TINY)
    model = pretrain.build_model(spec.architecture, tokenizer, 1)
    torch.nn.init.zeros_(model.lm_head.weight)
    return model.eval()


def test_gates_of_the_uniform_model_are_known(uniform, tokenizer):
    uniform_logp = torch.tensor(1 / len(tokenizer)).log().item()
    found = marker_logp(uniform, tokenizer, world_rows("validation", "g", (3,), 2, 1))
    assert {name: len(values) for name, values in found.items()} == {"plan": 2, "look": 6, "compute": 6, "check": 2}
    assert [value for values in found.values() for value in values] == pytest.approx([uniform_logp] * 16, abs=1e-5)
    figures = measure_gates(uniform, tokenizer, Gates(questions=4, samples=2, max_response_tokens=8), 1)
    assert figures["entropy"] == pytest.approx(-uniform_logp, abs=1e-4)
    assert figures["marker_logp"] == pytest.approx(uniform_logp, abs=1e-5)
    assert figures["parts"]["questions"] == 12


def test_gates_end_responses_as_evaluation_does(uniform, tokenizer):
    """By the generation configuration too: here every word is an end."""
    uniform.generation_config.eos_token_id = list(range(len(tokenizer)))
    figures = measure_gates(uniform, tokenizer, Gates(questions=2, samples=2, max_response_tokens=8), 1)
    assert (figures["parts"]["response_tokens"], figures["parts"]["truncated"]) == (1, 0)


def test_gate_figures_of_a_model_that_solves_everything(uniform, tokenizer, monkeypatch):
    """avg, pass and their gap from verdicts that are known: right on every second sample."""
    calls = iter(range(10**6))

    def verdict(row, text, truncated):
        from chord.tasks import Verdict

        right = row["task"] == "choice" or next(calls) % 2 == 0
        return Verdict(float(right), right, True, "correct" if right else "wrong")

    monkeypatch.setattr("chord.tasks.verdicts", lambda items: itertools.starmap(verdict, items))
    figures = measure_gates(uniform, tokenizer, Gates(questions=3, samples=4, max_response_tokens=4), 1)
    assert (figures["accuracy"], figures["gap"], figures["skills"]) == (0.5, 0.5, 1.0)
    assert figures["parts"]["accuracy_by_k"] == {"3": 0.5, "4": 0.5, "5": 0.5}
