# The server and every plugin that needs no model on this machine: docs/container.md.
#
#   docker build -t jackfield .
#   docker run -p 8080:8080 --env-file .env jackfield
#
# PYTHON_IMAGE may be a mirror's, or the same with its digest. REQUIREMENTS names a file of requirements/:
# `image`, or `run` for the offline voice server.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What others wrote: changes with its requirement file alone. Compiled without dates, which a builder may change.
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/jackfield
ARG REQUIREMENTS=image
COPY requirements/${REQUIREMENTS}.txt requirements/
RUN pip --python /opt/jackfield/bin/python install --no-deps --no-compile --require-hashes --only-binary :all: \
        --requirement requirements/${REQUIREMENTS}.txt \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/jackfield/lib

# What is ours, beside it: laid over it below, in a layer of its own.
FROM packages AS builder
COPY requirements/build.txt requirements/
RUN pip install --no-deps --require-hashes --requirement requirements/build.txt
COPY pyproject.toml LICENSE README.md THIRD_PARTY.md ./
COPY core core
COPY plugins plugins
COPY transports transports
RUN python -m hatchling build --target wheel --directory dist \
    && pip --python /opt/jackfield/bin/python install --no-deps --no-compile --no-index --prefix /opt/ours dist/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash -s /opt/ours -p /opt/jackfield /opt/ours/lib

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Jackfield" \
      org.opencontainers.image.description="Any language model, recogniser, voice and store behind one server" \
      org.opencontainers.image.licenses="Apache-2.0"
# A user by number, so that Kubernetes can see that it is not root.
RUN groupadd --gid 10001 jackfield \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/jackfield \
        --shell /usr/sbin/nologin jackfield \
    && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/jackfield
COPY --from=packages /opt/jackfield /opt/jackfield
COPY --from=builder /opt/ours /opt/jackfield
COPY examples/*.toml /etc/jackfield/
ENV PATH=/opt/jackfield/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    JACKFIELD_CONFIG=/etc/jackfield/pichat.toml \
    JACKFIELD_MODELS=/var/lib/jackfield/models
# All that is written: clips, files of SQLite, models. Long uploads are held in /tmp.
WORKDIR /var/lib/jackfield
VOLUME ["/var/lib/jackfield"]
USER 10001:10001
EXPOSE 8080
# Answers that are being given may end; `docker stop --time 20` waits for them.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["jackfield", "health"]
CMD ["jackfield", "serve"]
