"""An engine that is wrong in a known way: it draws from another distribution than that of the model in training."""

from dataclasses import replace

from chord.rollouts import Decoding, Sample
from chord.rollouts.huggingface import HuggingFaceEngine


class HotEngine(HuggingFaceEngine):
    """Draws at a temperature of its own, and gives the log-probabilities of that. Knows no entropies, as vLLM."""

    temperature = 1.5

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        hot = decoding.model_copy(update={"temperature": self.temperature})
        samples = [replace(sample, entropies=None) for sample in super().generate(prompt_ids, seeds, hot)]
        self.drawn = list(zip(prompt_ids, samples, strict=True))  # by the last call
        return samples
