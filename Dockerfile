# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/proxy && /opt/proxy/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md ./
COPY proxy proxy
COPY auth auth
COPY management management
RUN /opt/proxy/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --home-dir /data proxy
COPY --from=build /opt/proxy /opt/proxy
USER proxy
WORKDIR /data
VOLUME /data
EXPOSE 8317
ENV PATH=/opt/proxy/bin:$PATH PYTHONDONTWRITEBYTECODE=1
HEALTHCHECK --interval=15s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8317/livez', timeout=2)"]
ENTRYPOINT ["proxy"]
# Inside a container, loopback is the container's own: listen on all of its addresses, and let the published port decide who
# may connect. This needs `api-keys` in /data/config.yaml: without client keys only loopback is served.
CMD ["--host", "0.0.0.0"]
