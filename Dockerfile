# syntax=docker/dockerfile:1
# bench in a container, on a CPU or on NVIDIA's cards:
#
#   docker build --target cpu -t netbench:cpu .
#   docker run --rm --init -u "$(id -u):$(id -g)" -v "$PWD:/work" netbench:cpu run smoke
#   docker build --target cuda -t netbench:cuda .
#   docker run --rm --init --gpus all --shm-size 8g -u "$(id -u):$(id -g)" -v "$PWD:/work" netbench:cuda run all
#
# bench/docs/install.md says what disturbs times there. Extras: --build-arg EXTRAS=[timm,sql]
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS base
# torch.compile and the engines build code where they run; `bench gate` reads commits.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "uv>=0.8,<1"
# Any user may run it, also one without a name: what is cached lies where all may write, results in the mounted folder.
ENV HOME=/home/bench USER=bench UV_LINK_MODE=copy
RUN mkdir -m 1777 "$HOME" /work
WORKDIR /src
COPY . .
ARG EXTRAS=""

# torch as built for CPUs alone, without the CUDA libraries, which are most of the size of the other.
FROM base AS cpu
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --system --cache-dir /var/cache/uv --torch-backend cpu -c constraints.txt ".${EXTRAS}"
WORKDIR /work
ENTRYPOINT ["bench"]
CMD ["--help"]

# torch as the index has it: it brings its CUDA libraries, so that the host needs the driver and its container toolkit alone.
FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --system --cache-dir /var/cache/uv -c constraints.txt ".${EXTRAS}"
WORKDIR /work
ENTRYPOINT ["bench"]
CMD ["--help"]
