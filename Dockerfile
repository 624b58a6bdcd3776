# kvadmin's web server, its worker and its commands in one image: see compose.yaml and docs/operations.md.
# The tests run on this version of Python; another one may be named with --build-arg PYTHON=...
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt ./
RUN pip install --require-hashes --only-binary :all: -r requirements.txt
COPY manage.py gunicorn.conf.py LICENSE ./
COPY kvadmin ./kvadmin
COPY vaults ./vaults
COPY audit ./audit
COPY templates ./templates
COPY static ./static
RUN python manage.py collectstatic --no-input && python -m compileall -q /app

FROM python:${PYTHON}
# Nothing is written but to /data (archives; SQLite, where that is the database) and /tmp: the rest may be read-only.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:////data/kvadmin.sqlite3 KVADMIN_ARCHIVE_DIR=/data/archives
RUN install -d -o 10001 -g 10001 -m 700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "kvadmin.wsgi", "--bind", "0.0.0.0:8000"]
