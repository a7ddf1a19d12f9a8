"""TRL's own GRPOTrainer on the prompts and samples of ours, to compare with."""

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from chord import tasks
from chord.io.seeds import derive_seed
from chord.rollouts import encode_prompts
from chord.training.sequences import row_order
from tests.helpers.small_training import COMMON, SEED_PARTS


class StockGrpo:
    """GRPOTrainer without any change; only its prompts and samples are ours."""

    def __init__(
        self, model, tokenizer, stage, engine, prompts, output_dir, peft_config=None, trainer_class=GRPOTrainer
    ):
        order = row_order(len(prompts), stage.steps * stage.prompts_per_step, derive_seed(*SEED_PARTS, "prompt order"))
        k = stage.rollouts_per_prompt

        def rollout(messages, trainer):
            ids = encode_prompts(tokenizer, [{"messages": m} for m in messages])
            step = trainer.state.global_step + 1
            seeds = [derive_seed(*SEED_PARTS, "rollout", step, i) for i in range(len(ids))]
            samples = engine.generate(ids, seeds, stage.decoding)
            cut = [sample.truncated for sample in samples]
            return {
                "prompt_ids": ids,
                "completion_ids": [sample.token_ids for sample in samples],
                "logprobs": [sample.logps for sample in samples],
                "cut": cut,
            }

        def reward(completions, row, cut, **_):
            triples = zip(row, completions, cut, strict=True)
            return [tasks.verdict(prompts[i], done[0]["content"], c).reward for i, done, c in triples]

        self.trainer = trainer_class(
            model=model,
            args=GRPOConfig(
                max_steps=stage.steps,
                per_device_train_batch_size=stage.prompts_per_step * k // 2,
                gradient_accumulation_steps=2,
                num_generations=k,
                max_completion_length=stage.decoding.max_response_tokens,
                shuffle_dataset=False,
                beta=0.0,
                loss_type="dapo",
                epsilon=stage.clip,
                output_dir=output_dir,
                **COMMON,
            ),
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([{"prompt": prompts[i]["messages"], "row": i} for i in order]),
            reward_funcs=reward,
            rollout_func=rollout,
            peft_config=peft_config,
        )
