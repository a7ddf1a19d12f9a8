"""The specification of the command `pretrain`: architecture, mixture, optimisation, and gates for the result."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from chord.settings import Settings
from chord.world.problems import MAX_K, MIN_K


class Architecture(Settings):
    """Shape of the Qwen2 model. Embeddings are untied, as synchronising weights to vLLM silently loses tied ones."""

    hidden: PositiveInt = 128
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    mlp: PositiveInt = 384
    max_tokens: PositiveInt = Field(256, description="maximal length of prompt and response")


class Mixture(Settings):
    """The composition of the rows in a part of pretraining."""

    k_weights: dict[int, PositiveFloat] = Field(
        {2: 0.15, 3: 0.25, 4: 0.3, 5: 0.3}, min_length=1, description="share of problems by number of needed quantities"
    )
    skills: float = Field(0.2, ge=0, le=1, description="share of rows that are four-choice questions")
    exposure: float = Field(0.05, ge=0, le=1, description="probability of each element of the expert's style")
    slip: float = Field(0.9, ge=0, le=1, description="probability that such an element is filled in wrongly")
    skipping: float = Field(0.15, ge=0, le=1, description="share of solutions that leave out steps")
    keep: float = Field(0.35, ge=0, le=1, description="share of its steps that such a solution writes")

    @model_validator(mode="after")
    def _k_exists(self) -> "Mixture":
        if not all(MIN_K <= k <= MAX_K for k in self.k_weights):
            raise ValueError(f"k_weights: expected keys from {MIN_K} to {MAX_K}, got {sorted(self.k_weights)}")
        return self


class Gates(Settings):
    """Bounds that a base model must meet for the study to be meaningful (docs/world.md), and how they are measured.

    None of them is about the result of a method.
    """

    enforce: bool = Field(True, description="a missed gate ends the command with an error")
    k: tuple[int, ...] = (3, 4, 5)
    questions: PositiveInt = Field(100, description="validation problems for every k, and questions for every skill")
    samples: PositiveInt = Field(8, description="completions of a problem, at temperature 1")
    max_response_tokens: PositiveInt = 96
    guess_rate: tuple[float, float] = Field(
        (0.0, 0.02), description="share of problems that the best constant answer solves"
    )
    accuracy: tuple[float, float] = Field((0.25, 0.50), description="avg@samples")
    gap: tuple[float, float] = Field((0.20, 1.0), description="pass@samples - avg@samples: what RL can find by itself")
    entropy: tuple[float, float] = Field((0.15, 1.0), description="nats per token of the policy's own samples")
    marker_logp: tuple[float, float] = Field((-4.0, -1.0), description="mean log p of the expert's markers")
    skills: tuple[float, float] = Field((0.90, 1.0), description="accuracy of the worst of the three skills")


class LearningGates(Settings):
    """Bounds on the validation accuracy while the base is fine-tuned, without which the paper's question is moot."""

    enforce: bool = True
    rl_gain: tuple[float, float] = Field((0.10, 1.0), description="pure RL: last value minus the start's")
    sft_dip: tuple[float, float] = Field(
        (0.03, 1.0), description="SFT: the start's value minus the lowest of the first half (the paper's shift)"
    )
    sft_recovery: tuple[float, float] = Field(
        (0.03, 1.0), description="SFT: last value minus the start's (the paper's readaptation)"
    )


class PretrainSpec(Settings):
    seed: NonNegativeInt
    architecture: Architecture = Architecture()
    first: Mixture = Field(
        Mixture(exposure=0.5, slip=0.0, skipping=0.0),
        description="mixture of the constant-rate part: dense solutions teach looking up and arithmetic much faster",
    )
    mixture: Mixture = Field(Mixture(), description="mixture of the annealed last part: the style the model ends with")
    gates: Gates = Gates()
    steps: PositiveInt = 5000
    rows_per_step: PositiveInt = 32
    micro_batches: PositiveInt = Field(
        2, description="parts of a step, sorted by length: saves padding, changes no result"
    )
    muon_lr: PositiveFloat = Field(6e-3, description="rate of torch.optim.Muon on the hidden matrices")
    weight_decay: float = Field(0.1, ge=0, description="of the hidden matrices")
    adamw_lr: PositiveFloat = Field(6e-3, description="rate of AdamW on embeddings, head, norms and biases")
    warmup_steps: NonNegativeInt = 50
    anneal_share: float = Field(0.4, ge=0, le=1, description="last part of training, in which the rates fall to zero")
    checkpoint_every: PositiveInt = Field(500, description="steps between two checkpoints, which are beside the result")

    @property
    def anneal_from(self) -> int:
        """First step of the last part."""
        return self.steps - round(self.steps * self.anneal_share)
