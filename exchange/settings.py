"""Django's settings. Whatever may differ between two installations comes from `exchange.config`."""

from pathlib import Path

from django.templatetags.static import static

from exchange import config

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = config.var_folder(BASE_DIR)
SLUICE = config.load(VAR)

DEBUG = config.flag("SLUICE_DEBUG")
SECRET_KEY = config.secret_key(VAR, DEBUG)
ALLOWED_HOSTS = [h for h in config.text("SLUICE_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h]
CSRF_TRUSTED_ORIGINS = [o for o in config.text("SLUICE_TRUSTED_ORIGINS", "").split(",") if o]

INSTALLED_APPS = [
    "exchange.parties",
    "exchange.audit",
    "exchange.work",
    "catalog",
    "licensing",
    "settlement",
    "unfold",  # before the admin, whose site it replaces
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
    "rest_framework",
    "oauth2_provider",
    "guardian",
    "import_export",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "exchange.portal",  # last: its admin replaces those that other apps bring
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "exchange.portal.persons.ActingFor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "exchange.urls"
WSGI_APPLICATION = "exchange.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": config.database(VAR)}
# Reserve and settle are transactions of their own; one around a request would lock while a node works.
DATABASES["default"]["ATOMIC_REQUESTS"] = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "parties.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian: nobody is everybody
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    # For client secrets only, which are 256 random bits; see exchange.parties.hashers.
    "exchange.parties.hashers.ClientSecretHasher",
]

OAUTH2_PROVIDER_APPLICATION_MODEL = "parties.Client"
OAUTH2_PROVIDER = {
    "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
    "CLIENT_SECRET_HASHER": "client_secret",
    "CLIENT_SECRET_GENERATOR_LENGTH": 43,
    "SCOPES": {"query": "Query licensed products and read their evidence"},
    "DEFAULT_SCOPES": ["query"],
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,  # only a hash of a token is kept
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["exchange.api.tokens.ClientAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "exchange.api.negotiation.AlwaysJson",
    "DEFAULT_PAGINATION_CLASS": "exchange.api.pagination.ById",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "exchange.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sluice",
    "DESCRIPTION": "Public-data authorized operation: metered aggregate queries with receipts.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "exchange" / "locale"]
TIME_ZONE = "Asia/Shanghai"
USE_I18N = True
USE_TZ = True

# The admin's theme. What is in the side bar and on the first page stands in exchange/portal/admin.
UNFOLD = {
    "SITE_TITLE": "Sluice",
    "SITE_HEADER": "Sluice",
    "SITE_SUBHEADER": "公共数据授权运营",
    "SITE_SYMBOL": "water",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("portal/icon.svg")}],
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,  # an object's history is the log's
    "LOGIN": {"form": "exchange.portal.login.LoginForm"},
    "DASHBOARD_CALLBACK": "exchange.portal.admin.work.dashboard",
    "SIDEBAR": {"navigation": "exchange.portal.admin.sidebar.navigation"},
    "STYLES": [lambda _request: static("portal/desk.css")],
    "COLORS": {
        "primary": {
            "50": "#eef7fa", "100": "#d5ebf2", "200": "#aed7e5", "300": "#7bbbd1", "400": "#4699b5", "500": "#2a7f9d",
            "600": "#1f6f8b", "700": "#1b5970", "800": "#1a4a5d", "900": "#193f4f", "950": "#0c2833",
        },
    },
}  # fmt: skip

IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True  # a cell that begins with = stays text

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
# Documents go through exchange.parties.documents, which checks size, type and rights.
MEDIA_ROOT = VAR / "documents"
EMAIL_BACKEND = config.text("SLUICE_EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
DEFAULT_FROM_EMAIL = config.text("SLUICE_EMAIL_FROM", "sluice@localhost")

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
# Behind TLS (the default off loopback) cookies travel over TLS only.
SECURE = config.flag("SLUICE_TLS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_SSL_REDIRECT = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": config.text("SLUICE_LOG_LEVEL", "WARNING")},
}
