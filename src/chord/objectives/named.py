"""Objectives by name, for Python. Tests compare them with config/methods and the steps of the study paper-math.

A comment names the method's file if it has another name, and the source if there is no file.
"""

from chord.objectives.adaptive_schedules import Plateau, RewardDriven, Uncertainty
from chord.objectives.distillation import ForwardKl, ReverseKl
from chord.objectives.expert_losses import Asft, Gift, PolicyGradient, Psft, Shaped, SrftLoss
from chord.objectives.gradient_schedules import GradientNoise, GradientNorms
from chord.objectives.hybrid import Objective
from chord.objectives.prefixes import Hint, Prefix
from chord.objectives.routers import Buffered, Gate, Joined, SrftRouter
from chord.objectives.schedules import Constant, Cosine, Free, Linear
from chord.objectives.token_weights import (
    Eaft,
    EntropyNorm,
    EntropyTop,
    EqualMass,
    IsClip,
    Margin,
    One,
    Power,
    ReferenceRatio,
    ScaledPower,
    TokenWeight,
    TrSft,
)


def _equal_mass(weight: TokenWeight) -> EqualMass:
    """Without validation: it would import the plug-ins, which import this package."""
    return EqualMass.model_construct(of=weight, mean=0.1)


GRPO = Objective(Constant(mu=0.0))  # rl
SFT = Objective(Constant(mu=1.0))  # eq. 1, one optimizer step of it; the stage `sft` counts epochs
DFT = Objective(Constant(mu=1.0), Power(a=1, b=0))  # arXiv 2508.05629
MIX = Objective(Constant(mu=0.1))  # mu_0.1
MIX_IS = Objective(Constant(mu=0.1), Power(a=1, b=0))  # eq. 4
MIX_ADAPTIVE = Objective(RewardDriven(threshold=0.5))  # mu_adaptive_0.5
MIX_LINEAR = Objective(Linear(start=0.9, end=0.05, steps=200))  # mu_linear
MIX_BALANCED = Objective(GradientNorms())  # balanced_norms
MIX_LEARNT = Objective(Uncertainty(lr=0.1, limit=2.0))  # learnt_weights
SFT_PLATEAU_RL = Objective(Plateau(held_out=128, every=10, patience=2, threshold=0.01))
GAC = Objective(
    GradientNoise(warmup=200, decay=800, peak=0.85, valley=0.15, alpha=0.0, memory=0.99, cap=0.01), Power(a=1, b=1)
)
CHORD_MU = Objective(Cosine(warmup=0, decay=200, peak=0.9, valley=0.05))
CHORD_PHI = Objective(Constant(mu=0.1), Power(a=1, b=1))  # eq. 5
CHORD_TUNE_BOTH = Objective(Cosine(warmup=200, decay=400, peak=0.3, valley=0.05), Power(a=1, b=1))
PHI_FOCAL = Objective(Constant(mu=0.1), Power(a=0, b=2))
PHI_IS_CLIP = Objective(Constant(mu=0.1), IsClip(limit=0.4))
PHI_ENTROPY_TOP = Objective(Constant(mu=0.1), EntropyTop(share=0.05))
PHI_ENTROPY_NORM = Objective(Constant(mu=0.1), EntropyNorm())
PHI_CUTOFF = Objective(Constant(mu=0.1), Power(a=1, b=1, cutoff_prob=0.9))
TRSFT = Objective(Constant(mu=0.1), TrSft(alpha=0.1))
SCALED_POWER = Objective(Constant(mu=0.1), ScaledPower(k=10))
EAFT = Objective(Constant(mu=0.1), Eaft(normalisation="paper"))
MARGIN = Objective(Constant(mu=0.1), Margin())
MIX_EQUAL_MASS = Objective(Constant(mu=0.1), _equal_mass(One()))
MIX_IS_EQUAL_MASS = Objective(Constant(mu=0.1), _equal_mass(Power(a=1, b=0)))
CHORD_PHI_EQUAL_MASS = Objective(Constant(mu=0.1), _equal_mass(Power(a=1, b=1)))
PHI_FOCAL_EQUAL_MASS = Objective(Constant(mu=0.1), _equal_mass(Power(a=0, b=2)))
TRSFT_EQUAL_MASS = Objective(Constant(mu=0.1), _equal_mass(TrSft(alpha=0.1)))
LUFFY = Objective(Free(rl=1.0, expert=1.0), expert_loss=Shaped(gamma=0.1), router=Joined(scale="none"))
SRFT = Objective(
    Free(rl=1.0, expert=1.0), expert_loss=SrftLoss(sft=0.5), router=SrftRouter(scale="group", positive=0.1)
)
IW_SFT = Objective(Constant(mu=1.0), ReferenceRatio(tau=1.0))
PSFT = Objective(Constant(mu=1.0), expert_loss=Psft(high=0.28, updates=8))
ASFT = Objective(Constant(mu=1.0), expert_loss=Asft(kl=0.05))
GIFT = Objective(Constant(mu=1.0), expert_loss=Gift(beta=20.0))
OPD = Objective(Constant(mu=0.0), distillation=ReverseKl(coef=1.0, reward=0.0))
RL_OPD = Objective(Constant(mu=0.0), distillation=ReverseKl(coef=1.0, reward=1.0))
# sdft: the teacher is the policy, shown the trace; the text is ours
SDFT = Objective(Constant(mu=0.0), distillation=ReverseKl(coef=1.0, reward=0.0, shown="{trace} {prompt}"))
DAGGER = Objective(Constant(mu=0.0), distillation=ForwardKl(coef=1.0, reward=0.0))
HPT = Objective(Free(rl=1.0, expert=1.0), router=Gate(success="right", gamma=0.0, scale="none"))
SUPERRL = Objective(Free(rl=1.0, expert=1.0), router=Gate(success="rewarded", gamma=0.0, scale="group"))
RELIFT = Objective(Free(rl=1.0, expert=1.0), router=Buffered(scale="none"))
UFT = Objective(Free(rl=1.0, expert=0.001), router=Hint(chunks=5, start=0.95, end=0.05, steps=300))
PREFIX_RFT = Objective(
    Free(rl=1.0, expert=1.0),
    EntropyTop(share=0.2),
    PolicyGradient(),
    Prefix(start=0.95, end=0.05, high=0.95, steps=500),
)
