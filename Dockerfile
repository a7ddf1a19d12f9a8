# `chord derived` makes this file from environment.yml.
#   docker build -t chord . && docker run -v "$PWD:/work" chord main --config study=smoke
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir \
    accelerate==1.15.0 \
    antlr4-python3-runtime==4.13.2 \
    datasets==5.2.0 \
    filelock==4.3.1 \
    gguf==0.19.0 \
    httpx==0.28.1 \
    huggingface-hub==1.33.0 \
    jinja2==3.1.6 \
    math-verify==0.9.0 \
    matplotlib==3.11.2 \
    numpy==2.4.6 \
    openai==3.54.0 \
    pandas==3.1.1 \
    pillow==13.0.0 \
    psutil==7.2.2 \
    pyarrow==26.0.1 \
    pydantic==2.14.3 \
    pyyaml==6.0.3 \
    safetensors==0.8.0 \
    scipy==1.17.1 \
    shtab==1.13.0 \
    snakemake==9.27.1 \
    tensorboard==2.21.0 \
    tokenizers==0.23.3 \
    torch==2.13.0 \
    tqdm==4.70.1 \
    transformers==5.17.0 \
    trl==1.16.0
COPY Snakefile environment.yml pyproject.toml README.md /chord/
COPY workflow /chord/workflow
COPY profiles /chord/profiles
COPY config /chord/config
COPY src /chord/src
COPY models /chord/models
RUN pip install --no-cache-dir --no-deps -e /chord
ENV OMP_NUM_THREADS=1
WORKDIR /work
ENTRYPOINT ["snakemake", "--snakefile", "/chord/Snakefile"]
CMD ["main"]
