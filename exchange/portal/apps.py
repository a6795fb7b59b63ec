from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "exchange.portal"
    label = "portal"
    verbose_name = _("Portal")

    def ready(self) -> None:
        from exchange.portal import persons

        user_logged_in.connect(persons.log_superuser, dispatch_uid="portal.log_superuser")
