"""What every test may ask for: `var`, `db`, `server`, `served`, `real_data`, `program`.

The suite runs on one database per run: SQLite, or with SLUICE_TEST_DB=postgres a PostgreSQL started here,
or a server named by DATABASE_URL. SLUICE_NO_SKIP=1 makes a skipped test a failed one. --database leaves out
the tests that use no database, for a second run on another. With -n, workers share the cluster, its template, and
what tests/scratch.py makes once; each has databases and nodes of its own.
"""

import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import databases, scratch, servers

FOLDER = scratch.choose()
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
NO_REAL_DATA = "SLUICE_REAL_DATA is not set: the folder with the real data sets"  # not part of the project
NO_SKIP = os.environ.get("SLUICE_NO_SKIP", "") not in ("", "0")
_number = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", action="store_true", help="only the tests that use the exchange's database")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("database"):
        others = [item for item in items if "template" not in item.fixturenames]  # type: ignore[attr-defined]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


def pytest_configure(config: pytest.Config) -> None:
    """Set Django up once, before any test module imports a model."""
    config.add_cleanup(lambda: shutil.rmtree(FOLDER, ignore_errors=True))
    url = os.environ.get("DATABASE_URL", "")
    wanted = os.environ.get("SLUICE_TEST_DB", "") or ("postgres" if url.startswith("postgres") else "sqlite")
    if wanted not in ("sqlite", "postgres"):
        raise pytest.UsageError(f"SLUICE_TEST_DB={wanted}: sqlite or postgres")
    if wanted == "sqlite":
        config.databases = databases.Sqlite(FOLDER)
    elif url.startswith("postgres"):
        config.databases = databases.Postgres(url.rpartition("/")[0], worker=WORKER)
    else:
        try:
            config.databases = databases.start_postgres()
        except RuntimeError as error:
            raise pytest.UsageError(f"SLUICE_TEST_DB=postgres: {error}") from None
    config.add_cleanup(config.databases.close)
    (FOLDER / "static").mkdir()
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
        "DATABASE_URL": config.databases.url(databases.NOWHERE),
        "SLUICE_VAR": str(FOLDER),
        "SLUICE_EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
    }
    import django
    from django.contrib.auth.hashers import ScryptPasswordHasher
    from django.db.backends.signals import connection_created

    django.setup()
    ScryptPasswordHasher.work_factor = 2  # a hash says which it was made with, so whoever reads it can check it
    connection_created.connect(databases.remember)


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.databases.url('…')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    return _no_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _no_skip(report)


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> pytest.TestReport | pytest.CollectReport:
    if NO_SKIP and report.skipped and NO_REAL_DATA not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped, while SLUICE_NO_SKIP is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest) -> databases.Databases:
    """The run's databases, with a migrated template."""
    from django.core.management import call_command

    found: databases.Databases = request.config.databases

    def migrate(folder: Path) -> None:
        with databases.switched_to(found.make_template(folder)):
            call_command("migrate", verbosity=0, interactive=False)

    found.use_template(scratch.once("template", migrate))
    return found


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This test's own state folder, for this process and for those it starts."""
    from django.conf import settings
    from django.test import override_settings

    folder = tmp_path / "var"
    folder.mkdir()
    monkeypatch.setenv("SLUICE_VAR", str(folder))
    monkeypatch.setenv("SLUICE_SECRET_KEY", settings.SECRET_KEY)
    mine = dataclasses.replace(settings.SLUICE, var=folder)
    with override_settings(VAR=folder, SLUICE=mine, MEDIA_ROOT=folder / "documents"):
        yield folder


@pytest.fixture
def db(template: databases.Databases, var: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database of this test's own, for every thread and for processes it starts; its URL."""
    from exchange.api.tokens import TOKEN_RATE

    name = template.copy(next(_number))
    monkeypatch.setenv("DATABASE_URL", template.url(name))
    TOKEN_RATE.forget()
    with databases.switched_to(name):
        yield template.url(name)
    template.drop(name)


@pytest.fixture
def server(db: str) -> Iterator[str]:
    """The exchange over real HTTP, in threads of this process; its base URL."""
    with servers.in_threads() as url:
        yield url


@pytest.fixture
def served(db: str) -> Iterator[Callable[..., servers.Served]]:
    """A function that starts the exchange as in service, in processes of its own that a test may kill."""
    with servers.Starter() as start:
        yield start


@pytest.fixture
def program() -> Callable[[str, str], str]:
    """The path of a program, or a skip that names its Debian package: `program("go", "golang")`."""

    def find(name: str, package: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
        return path

    return find


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets, or a skip."""
    folder = os.environ.get("SLUICE_REAL_DATA", "")
    if not folder:
        pytest.skip(NO_REAL_DATA)
    return Path(folder)
