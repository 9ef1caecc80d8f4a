# One image for every service; docker-compose.yml says which command each of them runs.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    SELFHEAL_HOME=/var/lib/selfheal

WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt

COPY . .
# Compiled here, because the user below may not write into /app. The key is for this one command and stays nowhere.
RUN useradd --uid 10001 --user-group --home-dir "$SELFHEAL_HOME" --create-home --shell /usr/sbin/nologin selfheal \
    && python -m compileall -q . \
    && SELFHEAL_SECRET_KEY=used-while-building python manage.py collectstatic --no-input --verbosity 0

# By number, so that an orchestrator sees that it is not root.
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "selfheal_project.asgi:application", "--lifespan", "off", "--no-access-log", \
     "--log-level", "warning", "--host", "0.0.0.0", "--port", "8000"]
