# docker build -t trice .
# docker run --rm -p 8888:8888 -v trice-data:/data trice
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/trice
# What the lock names, by hash; again only when the lock changes.
COPY requirements.lock ./
RUN /opt/trice/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY server/src server/src
RUN /opt/trice/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/trice/bin/pip uninstall --yes editables hatchling pathspec pluggy tomlkit \
    trove-classifiers pip

FROM python:3.13-slim
COPY --from=build /opt/trice /opt/trice
RUN useradd --system --uid 8888 --no-create-home --shell /usr/sbin/nologin trice \
 && install -d -o trice -g trice -m 0700 /data
USER 8888
WORKDIR /data
ENV PATH=/opt/trice/bin:$PATH TRICE_HOST=0.0.0.0 TRICE_PORT=8888 TRICE_DATA_DIR=/data
VOLUME /data
EXPOSE 8888
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as http; http.urlopen('http://127.0.0.1:' + os.environ['TRICE_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["trice"]
CMD ["serve"]
