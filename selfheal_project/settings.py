"""Django's and Celery's settings: environment first, safe defaults, the same code in every mode."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selfheal_project import env
from selfheal_project.unfold import UNFOLD as UNFOLD

env.check_known()

BASE_DIR = Path(__file__).resolve().parent.parent
SELFHEAL_HOME = Path(os.environ.get("SELFHEAL_HOME") or BASE_DIR / "var").resolve()
SELFHEAL_TICK = env.number("SELFHEAL_TICK", 1.0, 1.0, 10.0)
SELFHEAL_URL = env.http_url("SELFHEAL_URL").rstrip("/")
SELFHEAL_HEARTBEAT_URL = env.http_url("SELFHEAL_HEARTBEAT_URL")
SELFHEAL_HEARTBEAT_EVERY = env.number("SELFHEAL_HEARTBEAT_EVERY", 60.0, 5.0, 86_400.0)
SELFHEAL_DIGEST_TIMEZONE = env.time_zone("SELFHEAL_DIGEST_TIMEZONE")

SECRET_KEY = os.environ.get("SELFHEAL_SECRET_KEY") or env.stored_secret(SELFHEAL_HOME, "secret_key")
SECRET_KEY_FALLBACKS = [
    key.strip() for key in os.environ.get("SELFHEAL_SECRET_KEY_FALLBACKS", "").split(",") if key.strip()
]
DEBUG = False

HTTPS = env.boolean("SELFHEAL_HTTPS")
ALLOWED_HOSTS = [
    name.strip()
    for name in os.environ.get("SELFHEAL_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
    if name.strip()
]

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "healing.apps.HealingConfigApp",
    "notifications",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "selfheal_project.urls"
WSGI_APPLICATION = "selfheal_project.wsgi.application"
ASGI_APPLICATION = "selfheal_project.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.database(os.environ.get("DATABASE_URL", ""), SELFHEAL_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = SELFHEAL_HOME / "static"
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz)$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"

FORMAT_MODULE_PATH = "selfheal_project.formats"
LOGIN_REDIRECT_URL = "admin:index"
LINK_LIFETIME = 24 * 3600
"""Seconds that a link in a message can be used for."""

# Celery. A message is a hint: what matters is in the database, so nothing here needs a result backend.
CELERY_BROKER_URL = env.broker(os.environ.get("CELERY_BROKER_URL", ""))
EMBEDDED = CELERY_BROKER_URL.startswith("selfheal-memory")
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = env.broker_options(CELERY_BROKER_URL)
CELERY_BROKER_TRANSPORT_OPTIONS |= env.sentinel_options(os.environ.get("CELERY_BROKER_URL", ""))
MESSAGE_PRIORITIES = env.message_priorities(CELERY_BROKER_URL)
# RabbitMQ: queues on several of its nodes. Celery sees that they are and does without global QoS, which they lack.
# The queues for delayed messages, which it then declares, stay unused: nothing here is sent for later.
_QUEUE_TYPE = "quorum" if env.is_rabbitmq(CELERY_BROKER_URL) else "classic"
CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = _QUEUE_TYPE
CELERY_WORKER_DETECT_QUORUM_QUEUES = True
CELERY_BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE = "classic"
CELERY_BROKER_HEARTBEAT = 10
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONSUMER = "selfheal_project.messages:Consumer"
CELERY_WORKER_SEND_TASK_EVENTS = not EMBEDDED
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not EMBEDDED
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_ROUTES = {
    "healing.tasks.check_containers": {"queue": "checks"},
    "healing.tasks.observe": {"queue": "heal"},
    "healing.tasks.diagnose": {"queue": "heal"},
    "healing.tasks.restart": {"queue": "heal"},
    "healing.tasks.recreate": {"queue": "heal"},
    "healing.tasks.verify": {"queue": "heal"},
    "notifications.tasks.*": {"queue": "alerts"},
}
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "selfheal_project.scheduler:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
DJANGO_CELERY_BEAT_TZ_AWARE = True
SILENCED_SYSTEM_CHECKS: list[str] = []

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "selfheal_project.logs.TextFormatter"},
        "json": {"()": "selfheal_project.logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("SELFHEAL_LOG_FORMAT", "text", ("text", "json")),
        }
    },
    "root": {
        "handlers": ["stderr"],
        "level": env.choice("SELFHEAL_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {
        "celery": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # It warns of queues that cannot take delayed messages; there are none here.
        "kombu.transport.native_delayed_delivery": {"level": "ERROR"},
        "django_celery_beat": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
    },
}
