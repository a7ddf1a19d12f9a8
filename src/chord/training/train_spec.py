"""The specification of a training job: a stage, its seed, its validation. It needs no torch, to be checked fast."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from chord.objectives import (
    AnyDistillation,
    AnyExpertLoss,
    AnyRouter,
    AnySchedule,
    AnyTokenWeight,
    Constant,
    ImportanceCorrection,
    Nll,
    Normalisation,
    Objective,
    One,
    Separate,
)
from chord.rollouts import Decoding
from chord.settings import Needs, Settings
from chord.training.scale.scale_spec import OwnRollouts, Scale

Beta = Annotated[float, Field(ge=0, lt=1)]
OfRollouts = Needs("uses_rollouts", "mu below 1 at some step")
OfExperts = Needs("uses_experts", "mu above 0 at some step")
OfCompatRules = Needs("divides_by_micro_batch", "normalisation other than global")
OfExpertRows = Needs("reads_expert_rows", "mu above 0 at some step, and a router that reads no traces")
OfRowCount = Needs("counts_expert_rows", "mu above 0 at some step, and the router separate or buffered")


class Optimizer(Settings):
    """AdamW with a constant rate after a linear warm-up. Betas are the paper's (A.1); its weight decay is unknown."""

    lr: PositiveFloat
    warmup_steps: NonNegativeInt = Field(0, description="update n has rate lr * (n - 1) / warmup_steps until then")
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat = 1.0


class Lora(Settings):
    """Trains low-rank adapters on all linear layers of the decoder and nothing else (arXiv 2106.09685).

    The result of a run is a whole model, with the adapters merged into its weights.
    """

    rank: PositiveInt
    alpha: PositiveFloat = Field(description="the update is scaled by alpha / rank")


class StageSettings(Settings, ABC):
    """The settings of both kinds of stages."""

    optimizer: Optimizer
    lora: Lora | None = Field(None, description="train adapters in place of all weights; null: all weights")
    micro_batch_tokens: PositiveInt = Field(
        description="most tokens of one forward pass; a longer row has a pass of its own; changes memory and time only"
    )
    keep: Literal["last", "best"] = Field(description="which weights are the result: last, or best on validation")
    validate_every: PositiveInt = Field(description="steps between two validations")
    expert_set: Annotated[PositiveInt | None, OfExpertRows] = Field(
        None, description="use only this number of expert rows, the first ones; null: all"
    )

    @property
    @abstractmethod
    def objective(self) -> Objective:
        """The loss of the stage."""

    @property
    @abstractmethod
    def uses_rollouts(self) -> bool:
        """Whether the RL term has weight at any step."""

    @property
    @abstractmethod
    def reads_expert_rows(self) -> bool:
        """Whether steps read a pool of expert rows; most routers read the traces of the step's prompts instead."""

    @property
    def frozen_models(self) -> list[str]:
        """The models beside the one in training: reference (the start model), teacher."""
        return [name for name in self.passes_without_gradient if name == "reference" or self.reads_teacher]

    @property
    def passes_without_gradient(self) -> list[str]:
        """Who reads a step's rows besides the model in training: reference, teacher, which may be the policy itself."""
        reads = {"reference": self.objective.reads_reference, "teacher": self.distils}
        return [name for name, needed in reads.items() if needed]

    @property
    def distils(self) -> bool:
        """Whether rollouts learn from a teacher."""
        return self.uses_rollouts and self.objective.distillation is not None

    @property
    def reads_teacher(self) -> bool:
        """Whether the teacher is another model."""
        return self.distils and not self.teaches_itself

    @property
    def teaches_itself(self) -> bool:
        """Whether the teacher is the policy, which is shown the traces of the prompts."""
        return self.distils and self.objective.distillation.shown is not None

    @property
    @abstractmethod
    def uses_experts(self) -> bool:
        """Whether the expert term has weight at any step."""

    @property
    def corrects_rollouts(self) -> bool:
        """Whether rollouts are weighed for having been drawn by another engine."""
        return self.uses_rollouts and self.objective.importance_correction is not None

    @property
    def learns_from(self) -> list[str]:
        """What the stage is told beyond its prompts: rewards, the expert's text, what a teacher says of rollouts."""
        distillation = self.objective.distillation
        sources = {
            "reward": self.uses_rollouts and (distillation is None or distillation.reward > 0),
            "expert text": self.uses_experts or self.teaches_itself,
            "teacher's log-probabilities of own samples": self.reads_teacher,
            "teacher's logits": self.reads_teacher and distillation.reads_distribution,
        }
        return [source for source, is_read in sources.items() if is_read]

    @property
    def held_out_rows(self) -> int:
        """How many rows of this pool no step trains on."""
        return 0

    @property
    def kept_gradients(self) -> int:
        """How many gradients are in memory beside the usual one."""
        return 0


class SftStage(StageSettings):
    """Supervised fine-tuning on the expert trajectories (paper, eq. 1): token mean over the whole batch.

    A token weight or another expert loss makes it one of the variants of SFT: DFT, iw-SFT, PSFT, ASFT, GIFT.
    """

    kind: Literal["sft"] = "sft"
    normalisation: ClassVar[Normalisation] = "global"
    micro_batch_rows: ClassVar[None] = None
    epochs: PositiveInt
    expert_rows_per_step: PositiveInt
    token_weight: AnyTokenWeight = One()
    expert_loss: AnyExpertLoss = Nll()

    also_traces: bool = Field(
        False, description="train on the expert trajectories of the RL prompts too, after those of the SFT prompts"
    )

    @property
    def objective(self) -> Objective:
        return Objective(Constant(mu=1.0), self.token_weight, self.expert_loss)

    @property
    def uses_rollouts(self) -> bool:
        return False

    @property
    def uses_experts(self) -> bool:
        return True

    @property
    def reads_expert_rows(self) -> bool:
        return True

    @property
    def inputs(self) -> tuple[str, ...]:
        """The training rows that the stage reads."""
        return ("experts", "traces") if self.also_traces else ("experts",)

    def divisibility_error(self, ranks: int) -> str | None:
        """A message if this number of ranks cannot share the rows of a step equally; None if they can."""
        if self.expert_rows_per_step % ranks == 0:
            return None
        return f"expert_rows_per_step: {self.expert_rows_per_step} rows cannot be shared equally by {ranks} ranks"

    @model_validator(mode="after")
    def _has_no_groups(self) -> "SftStage":
        if self.expert_loss.needs_group:
            raise ValueError(f"expert_loss: {self.expert_loss.name} reads advantages, which only a hybrid stage has")
        return self


class HybridStage(StageSettings):
    """GRPO and expert data in one loss (paper, eq. 3). A schedule constant at 0 is pure GRPO.

    Rollouts are strictly on-policy: one optimizer update for each batch of rollouts.
    """

    kind: Literal["hybrid"] = "hybrid"
    steps: PositiveInt
    prompts_per_step: PositiveInt
    rollouts_per_prompt: Annotated[Annotated[int, Field(ge=2)] | None, OfRollouts] = Field(
        None, description="needed where mu is ever below 1"
    )
    expert_rows_per_step: Annotated[PositiveInt | None, OfRowCount] = Field(
        None,
        description="of a step that reads some; needed where mu is ever above 0, unless the router takes the traces of "
        "the step's prompts",
    )
    schedule: AnySchedule
    token_weight: Annotated[AnyTokenWeight, OfExperts] = One()
    expert_loss: Annotated[AnyExpertLoss, OfExperts] = Nll()
    router: Annotated[AnyRouter, OfExperts] = Separate()
    normalisation: Normalisation = "global"
    micro_batch_rows: Annotated[PositiveInt | None, OfCompatRules] = Field(
        None, description="rows over which a compat rule of normalisation takes a mean"
    )
    clip: Annotated[float, OfRollouts] = Field(
        0.2, gt=0.0, lt=1.0, description="inactive: with one update per batch the ratio is 1"
    )
    distillation: Annotated[AnyDistillation | None, OfRollouts] = Field(
        None, description="what rollouts learn from a teacher, the method's teacher_from; null: from rewards alone"
    )
    importance_correction: Annotated[ImportanceCorrection | None, OfRollouts] = Field(
        None, description="weighs rollouts by trainer's over engine's probability, where vLLM draws them; null: as 1"
    )
    decoding: Annotated[Decoding | None, OfRollouts] = Field(None, description="needed where mu is ever below 1")
    generate_batch_rows: Annotated[PositiveInt | None, OfRollouts] = Field(
        None, description="completions sampled at a time; needed where mu is ever below 1"
    )

    @property
    def uses_rollouts(self) -> bool:
        return any(self.schedule.weights(step)[0] for step in range(1, self.steps + 1))

    @property
    def objective(self) -> Objective:
        parts = (self.schedule, self.token_weight, self.expert_loss, self.router)
        return Objective(*parts, self.clip, self.distillation, self.importance_correction)

    @property
    def uses_experts(self) -> bool:
        return any(self.schedule.weights(step)[1] for step in range(1, self.steps + 1))

    @property
    def divides_by_micro_batch(self) -> bool:
        return self.normalisation != "global"

    @property
    def reads_expert_rows(self) -> bool:
        return self.uses_experts and self.router.reads == "experts"

    @property
    def counts_expert_rows(self) -> bool:
        """Whether it is the configuration that says how many expert rows a step reads, not its prompts."""
        return self.reads_expert_rows or (self.uses_experts and self.router.waits)

    @property
    def held_out_rows(self) -> int:
        return self.schedule.held_out_rows

    @property
    def kept_gradients(self) -> int:
        return {"nothing": 0, "terms": 1, "halves": 2}[self.schedule.separates]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The training rows that the stage reads."""
        if self.teaches_itself:
            return "prompts", "traces"
        return ("prompts", self.router.reads) if self.uses_experts else ("prompts",)

    def divisibility_error(self, ranks: int) -> str | None:
        """See `SftStage`."""
        rows = {key: getattr(self, key) or 0 for key in ("prompts_per_step", "expert_rows_per_step")}
        for key, count in {**rows, "schedule.held_out": self.held_out_rows}.items():
            if count % ranks:
                return f"{key}: {count} rows cannot be shared equally by {ranks} ranks"
        return None

    @property
    def expert_rows_of_a_step(self) -> int:
        """Expert rows of all ranks in a step in which they have weight; 0 if they never have.

        A router that reads traces may take fewer. If its traces wait, this is at most their mean over the steps.
        """
        if not self.uses_experts:
            return 0
        return self.prompts_per_step if self.router.reads == "traces" else self.expert_rows_per_step

    @model_validator(mode="after")
    def _has_what_it_uses(self) -> "HybridStage":
        if self.counts_expert_rows and self.expert_rows_per_step is None:
            raise ValueError("expert_rows_per_step: missing; expected a number, because the schedule has mu above 0")
        if self.divides_by_micro_batch and self.micro_batch_rows is None:
            raise ValueError(f"micro_batch_rows: missing; expected a number for normalisation {self.normalisation}")
        if self.uses_rollouts:
            for key in ("rollouts_per_prompt", "decoding", "generate_batch_rows"):
                if getattr(self, key) is None:
                    raise ValueError(f"{key}: missing; expected a value, because the schedule has mu below 1")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "HybridStage":
        weights = [self.objective.weights(step) for step in range(1, self.steps + 1)]
        if self.schedule.separates == "halves":
            for key in ("prompts_per_step", "expert_rows_per_step"):
                if getattr(self, key) == 1:
                    raise ValueError(
                        f"{key}: expected at least 2, as the schedule {self.schedule.name} compares halves"
                    )
        if self.teaches_itself and self.reads_expert_rows:
            raise ValueError(
                f"distillation.shown: expected null, or a router that reads traces, as {self.router.name} has expert "
                "rows of its own"
            )
        if not self.uses_experts or self.router.reads == "experts":
            return self
        if not all(a_rl for a_rl, _ in weights):
            raise ValueError(
                f"schedule: expected rollouts (mu below 1) at every step, as the router {self.router.name} needs them"
            )
        if self.router.waits and not all(a_ex for _, a_ex in weights):
            raise ValueError(
                f"schedule: expected mu above 0 at every step, as the router {self.router.name} decides which are SFT"
            )
        return self

    @model_validator(mode="after")
    def _samples_come_from_the_policy(self) -> "HybridStage":
        if self.decoding and (self.decoding.temperature != 1.0 or self.decoding.top_p != 1.0):
            raise ValueError(
                "decoding: expected temperature 1 and top_p 1, so that rollouts are samples of the updated policy "
                "(strict on-policy; paper, section 4.1)"
            )
        return self


Stage = Annotated[SftStage | HybridStage, Field(discriminator="kind")]


class Validation(Settings):
    """How validation accuracy is measured during training: avg@k on the validation rows. Never on a benchmark."""

    k: PositiveInt
    decoding: Decoding
    batch_rows: PositiveInt

    @model_validator(mode="after")
    def _samples_differ(self) -> "Validation":
        self.decoding.refuse_copies("k", self.k)
        return self


class TrainSpec(Settings):
    """One run: a stage from a start model. It lacks the method's name: equal settings are equal runs."""

    study_seed: int
    seed_index: NonNegativeInt
    stage: Stage
    validation: Validation
    save_every: PositiveInt = Field(description="steps between two checkpoints")
    scale: Scale = Scale()

    @model_validator(mode="after")
    def _adapters_are_not_sharded(self) -> "TrainSpec":
        if self.stage.lora and self.scale.sharding != "none":
            raise ValueError(f"scale.sharding: expected none beside lora, got {self.scale.sharding}")
        return self

    @model_validator(mode="after")
    def _frozen_models_are_not_sharded(self) -> "TrainSpec":
        if self.stage.passes_without_gradient and self.scale.sharding != "none":
            beside = " and ".join(self.stage.passes_without_gradient)
            raise ValueError(f"scale.sharding: expected none beside a frozen {beside}, got {self.scale.sharding}")
        return self

    @model_validator(mode="after")
    def _corrects_what_another_engine_drew(self) -> "TrainSpec":
        if self.stage.corrects_rollouts and isinstance(self.scale.rollouts, OwnRollouts):
            raise ValueError(
                "stage.importance_correction: expected null beside scale.rollouts huggingface, where the model in "
                "training draws itself; expected rollouts vllm or vllm_server"
            )
        return self
