# syntax=docker/dockerfile:1
# Two images: `service` is the HTTP side, without torch; `models` is TorchServe with the networks
# and their weights, for NVIDIA GPUs (torch's wheels bring CUDA, the runtime brings the driver).
#
#   docker build --target service --tag countenance-service .
#   docker build --target models --tag countenance-models .
#
# PYTHON_IMAGE may name a digest: python:...@sha256:...
# TORCH_INDEX is a package index for torch alone, such as PyTorch's own one of CPU builds.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Without pip of its own: the images need none.
RUN python -m venv --without-pip /opt/venv
COPY pyproject.toml requirements.lock README.md LICENSE NOTICE ./

# What is ours, apart from what it needs: a changed line does not make gigabytes be sent anew.
FROM build AS code
COPY service service
COPY handlers handlers
RUN python -m pip install --no-deps --target /opt/countenance .

# Empty packages stand for ours, so that pip finds what they need.
FROM build AS service-needs
RUN mkdir service handlers && touch service/__init__.py handlers/__init__.py \
    && python -m pip --python /opt/venv/bin/python install --constraint requirements.lock . \
    && python -m pip --python /opt/venv/bin/python uninstall --yes countenance

FROM build AS models-needs
ARG TORCH_INDEX=
RUN python -m pip --python /opt/venv/bin/python install --no-deps \
        ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} "$(grep '^torch==' requirements.lock)"
RUN mkdir service handlers && touch service/__init__.py handlers/__init__.py \
    && python -m pip --python /opt/venv/bin/python install --constraint requirements.lock \
        ".[torchserve]" \
    && python -m pip --python /opt/venv/bin/python uninstall --yes countenance

FROM ${PYTHON_IMAGE} AS runtime
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
    && groupadd --gid 10001 countenance \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin countenance
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/opt/countenance \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/countenance

FROM runtime AS models
COPY --from=models-needs /opt/venv /opt/venv
COPY model_store /opt/model_store
COPY --from=code /opt/countenance /opt/countenance
RUN install --directory --mode=1777 /var/lib/countenance
USER 10001:10001
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8080 8082
# Asks every model what it is, through the queue that all questions take.
HEALTHCHECK --interval=15s --timeout=40s --start-period=120s --retries=3 \
    CMD ["python", "-m", "handlers.torchserve", "check"]
CMD ["python", "-m", "handlers.torchserve", "serve", "--address", "http://0.0.0.0:8080", \
     "--metrics", "http://0.0.0.0:8082", "--run", "/var/lib/countenance/torchserve", "--model-store", "/opt/model_store"]

FROM runtime AS service
COPY --from=service-needs /opt/venv /opt/venv
COPY --from=code /opt/countenance /opt/countenance
# Where volumes with keys and with the address of Redis go; they take over the owner.
RUN install --directory --owner=10001 --group=10001 --mode=0700 \
        /var/lib/countenance/keys /var/lib/countenance/redis \
    && install --directory --owner=10001 --group=10001 --mode=0755 \
        /var/lib/countenance/monitoring
USER 10001:10001
ENV COUNTENANCE_HOST=0.0.0.0 \
    COUNTENANCE_PORT=8000
EXPOSE 8000
# Alive is whoever answers at all, if only that it does not know this Host.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/live'); c.getresponse()"]
CMD ["python", "-m", "service"]
