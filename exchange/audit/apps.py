from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    name = "exchange.audit"
    label = "audit"
    verbose_name = _("Evidence")

    def ready(self) -> None:
        from exchange.audit import append_only

        post_migrate.connect(append_only.install_for, dispatch_uid="audit.append_only")
        checks.register(append_only.check, checks.Tags.database)
