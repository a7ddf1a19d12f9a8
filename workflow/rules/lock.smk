# Only one Snakemake per study runs at a time. This replaces Snakemake's own lock (`nolock` in the profiles), which remains
# after its process is killed, and which says neither whose it is nor whether that process is still alive.
import atexit
from contextlib import ExitStack

from chord.io.files import explain_disk_errors
from chord.io.locks import exclusive

WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def lock_study() -> None:
    """Hold `results/<study>/lock` until this process ends; if another process has it, end with one line."""
    lock, holding = Path(RESULTS) / "lock", ExitStack()
    try:
        with explain_disk_errors(lock):
            holding.enter_context(exclusive(lock, f"running Snakemake on {STUDY.name}"))
    except UserError as error:
        sys.exit(str(error))
    atexit.register(holding.close)


# Without conda, `onstart` takes the lock. Conda environments are made earlier, and two processes must not make the same one.
if WITH_CONDA and workflow.is_main_process:
    lock_study()
