"""A vLLM server of a checkpoint, for tests."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "a-key-of-the-test"
SETTINGS = {"max_model_len": 256, "kv_cache_gib": 0.25, "enforce_eager": True}


@contextmanager
def serve(checkpoint: Path, log: Path) -> Iterator[str]:
    """Serve the checkpoint as `policy` to those who have the key; yields the base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The script `vllm serve` looks for a package of another name and fails.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "policy", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "256", "--kv-cache-memory-bytes", str(2**28), "--enforce-eager"]
    command += ["--no-enable-chunked-prefill"]  # see chord.rollouts.vllm
    environment = os.environ | {"VLLM_API_KEY": KEY, "VLLM_NO_USAGE_STATS": "1"}
    with open(log, "w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()[-4000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
