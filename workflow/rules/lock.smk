# One Snakemake a study at a time. This replaces Snakemake's own lock (`nolock` in the profiles), which outlives its process
# when that is killed, and says neither whose it is nor whether that still lives.
import atexit
from contextlib import ExitStack

from chord.disk import refusal
from chord.locks import held


def hold_study() -> None:
    """Hold `results/<study>/lock` until this process ends; a living holder ends it with one line."""
    lock = ExitStack()
    try:
        lock.enter_context(held(Path(RESULTS) / "lock", f"running Snakemake on {STUDY.name}"))
    except UserError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(refusal(error, Path(RESULTS) / "lock") or error)
    atexit.register(lock.close)


# Snakemake makes conda environments before `onstart`, and two that make one disturb each other.
if workflow.is_main_process and DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    hold_study()
    hold_study = lambda: None
